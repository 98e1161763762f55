// Talks to a program that answers as Google Benchmark does; a small shell script stands in for one.
#include "tools/bench/benchmark_program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "model/core/check.h"

namespace assay::tools {
namespace {

class BenchmarkProgram : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "assay-program-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::string script(const std::string& text) {
    const std::string path = directory_ / "program";
    std::ofstream(path) << "#!/bin/sh\n" << text;
    chmod(path.c_str(), 0755);
    return path;
  }
  std::filesystem::path directory_;
};

TEST_F(BenchmarkProgram, ListsItsBenchmarksThroughTheFilter) {
  const std::string path = script("echo BM_one; echo \"$2\"\n");
  EXPECT_EQ(benchmarks_of(path, ""), (std::vector<std::string>{"BM_one", "--benchmark_filter=."}));
  EXPECT_EQ(benchmarks_of(path, "x").back(), "--benchmark_filter=x");
}

TEST_F(BenchmarkProgram, OneBenchmarkIsAskedForAndItsUnitIsHonoured) {
  const std::string path = script(
      "[ \"$1\" = '--benchmark_filter=^BM_a/8\\.5$' ] || exit 3\n"
      "echo '{\"benchmarks\":[{\"name\":\"other\",\"real_time\":1,\"cpu_time\":1,\"time_unit\":\"ns\"},"
      "{\"name\":\"BM_a/"
      "8.5\",\"real_time\":4,\"cpu_time\":3,\"time_unit\":\"us\",\"bytes_per_second\":7.0}]}'\n");
  const BenchmarkTime time = run_benchmark(path, "BM_a/8.5", 0.01);
  EXPECT_DOUBLE_EQ(time.wall_seconds, 4e-6);
  EXPECT_DOUBLE_EQ(time.cpu_seconds, 3e-6);
  EXPECT_DOUBLE_EQ(time.bytes_per_second, 7);
}

TEST_F(BenchmarkProgram, WhatIsNoBenchmarkProgramIsRefused) {
  EXPECT_THROW((void)benchmarks_of((directory_ / "nothing").string(), ""), InputError);
  EXPECT_THROW((void)benchmarks_of(script("exit 1\n"), ""), InputError);
  EXPECT_THROW((void)run_benchmark(script("echo hello\n"), "BM", 0.01), InputError);
  EXPECT_THROW((void)run_benchmark(script("echo '{\"benchmarks\":[]}'\n"), "BM", 0.01), InputError);
  EXPECT_THROW(
      (void)run_benchmark(script("echo '{\"benchmarks\":[{\"name\":\"BM\",\"error_occurred\":true}]}'\n"),
                          "BM", 0.01),
      InputError);
}

}  // namespace
}  // namespace assay::tools
