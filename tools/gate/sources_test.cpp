#include "tools/gate/sources.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

namespace fs = std::filesystem;

// A folder with three files: k.cu -> a.h (beside it) -> shared/b.h (by include path); c.h is included by nobody.
class Sources : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            ("assay-sources-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(root_);
    write("src/k.cu", "#include <cuda.h>\n  # include \"a.h\"\n");
    write("src/a.h", "#pragma once\n#include \"shared/b.h\"\n#include \"a.h\"\n");
    write("include/shared/b.h", "int b;\n");
    write("src/c.h", "int c;\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  [[nodiscard]] SourceClosure closure() const {
    return source_closure(root_.string(), {"src/k.cu"}, {"include"});
  }
  fs::path root_;
};

TEST_F(Sources, TheClosureHoldsEveryQuotedIncludeAndNothingElse) {
  const SourceClosure found = closure();
  ASSERT_EQ(found.files.size(), 3u);
  EXPECT_TRUE(found.unresolved.empty());
  // sha256sum of "int b;\n".
  EXPECT_EQ(found.files.at("include/shared/b.h"),
            "9f0576e20ec48d16fa8aac96a27e3c83a0b019fc9bc7abd1accd44287c157381");
}

TEST_F(Sources, AChangeDeepInTheClosureChangesTheDigestAndIsNamed) {
  const SourceClosure then = closure();
  write("include/shared/b.h", "int b;;\n");
  const SourceClosure now = closure();
  EXPECT_NE(digest_of(then.files, {}), digest_of(now.files, {}));
  EXPECT_EQ(file_differences(then.files, now.files), std::vector<std::string>{"changed include/shared/b.h"});
  write("src/c.h", "int other;\n");
  EXPECT_EQ(digest_of(closure().files, {}), digest_of(now.files, {})) << "c.h is included by nobody";
}

TEST_F(Sources, AFileThatComesOrGoesIsNamed) {
  const SourceClosure then = closure();
  write("src/k.cu", "#include \"c.h\"\n");
  const std::vector<std::string> expected{"removed include/shared/b.h", "removed src/a.h", "added src/c.h",
                                          "changed src/k.cu"};
  EXPECT_EQ(file_differences(then.files, closure().files), expected);
}

TEST_F(Sources, AKernelIsTouchedByItsFilesAndTheirIncludesOnly) {
  const FileDigests files = closure().files;
  EXPECT_TRUE(is_touched(files, {"README.md", "include/shared/b.h"}));
  EXPECT_FALSE(is_touched(files, {"src/c.h", "b.h"}));
  EXPECT_FALSE(is_touched(files, {}));
  EXPECT_TRUE(is_touched({}, {})) << "nothing is known of it";
}

TEST_F(Sources, FlagsAndTheirBordersChangeTheDigest) {
  const SourceClosure found = closure();
  EXPECT_NE(digest_of(found.files, {"-O2"}), digest_of(found.files, {"-O3"}));
  EXPECT_NE(digest_of(found.files, {"-O2-g"}), digest_of(found.files, {"-O2", "-g"}));
  EXPECT_EQ(digest_of(found.files, {"-O2"}), digest_of(found.files, {"-O2"}));
}

TEST_F(Sources, AnIncludeThatNoFileAnswersIsListed) {
  write("src/k.cu", "#include \"gone.h\"\n#include \"../../outside.h\"\n");
  EXPECT_EQ(closure().unresolved.size(), 2u);
}

TEST_F(Sources, ASourceThatIsMissingOrOutsideIsRefused) {
  EXPECT_THROW((void)source_closure(root_.string(), {"src/none.cu"}, {}), InputError);
  EXPECT_THROW((void)source_closure((root_ / "src").string(), {"../include/shared/b.h"}, {}), InputError);
}

}  // namespace
}  // namespace assay::tools::gate
