// A child's answer arrives whole; its crash, hang, exit and errors arrive as what they are.
#include "tools/bench/isolated.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "model/core/check.h"
#include "tools/bench/ceilings.h"

namespace assay::tools {
namespace {

ChildEnd child(const std::function<std::string(KernelWatch&)>& work, double timeout = 10) {
  return run_in_child(work, timeout, {});
}

TEST(RunInChild, ALongAnswerArrivesWhole) {
  const std::string text(1 << 20, 'x');
  const ChildEnd end = child([&](KernelWatch&) { return text; });
  EXPECT_EQ(end.kind, ChildEnd::Kind::kAnswered);
  EXPECT_EQ(end.text, text);
}

TEST(RunInChild, WhatTheChildDoesToMemoryStaysInTheChild) {
  int value = 1;
  EXPECT_EQ(child([&](KernelWatch&) { return std::to_string(value = 2); }).text, "2");
  EXPECT_EQ(value, 1);
}

TEST(RunInChild, ACrashIsNamed) {
  const ChildEnd end = child([](KernelWatch&) -> std::string {
    std::signal(SIGABRT, SIG_DFL);
    std::raise(SIGABRT);
    return "";
  });
  EXPECT_EQ(end.kind, ChildEnd::Kind::kDied);
  EXPECT_NE(end.text.find("SIGABRT"), std::string::npos) << end.text;
}

TEST(RunInChild, AnExitIsNoAnswer) {
  const ChildEnd end = child([](KernelWatch&) -> std::string { _exit(0); });
  EXPECT_EQ(end.kind, ChildEnd::Kind::kDied);
  EXPECT_NE(end.text.find("exit(0)"), std::string::npos) << end.text;
}

TEST(RunInChild, OnlyTimeInsideAKernelCountsAsAHang) {
  const ChildEnd slow = child(
      [](KernelWatch& watch) {
        for (int i = 0; i < 3; ++i) {
          watch.enter();
          watch.leave();
          usleep(300'000);
        }
        return std::to_string(watch.runs);
      },
      0.2);
  EXPECT_EQ(slow.text, "3");
  const ChildEnd hung = child(
      [](KernelWatch& watch) -> std::string {
        watch.enter();
        while (true) pause();
      },
      0.2);
  EXPECT_EQ(hung.kind, ChildEnd::Kind::kLate);
}

TEST(RunInChild, ErrorsAreThrownAgainWithAllTheirWords) {
  try {
    (void)child([](KernelWatch&) -> std::string { throw InputError("here", "a: b", "c"); });
    FAIL();
  } catch (const InputError& error) {
    EXPECT_EQ(error.place(), "here");
    EXPECT_EQ(error.expected(), "a: b");
    EXPECT_EQ(error.got(), "c");
  }
  EXPECT_THROW((void)child([](KernelWatch&) -> std::string { throw EnvironmentError("a", "b", "c"); }),
               EnvironmentError);
}

TEST(Ceilings, AreKnownAndNameTheirOrigin) {
  const Ceilings warm = cpu_ceilings(1 << 14, false, 1e-3);
  EXPECT_GT(warm.bytes_per_second, 0);
  EXPECT_GT(warm.operations_per_second, 0);
  EXPECT_NE(warm.memory_from.find("16384 bytes"), std::string::npos) << warm.memory_from;
  EXPECT_FALSE(warm.arithmetic_from.empty());
}

}  // namespace
}  // namespace assay::tools
