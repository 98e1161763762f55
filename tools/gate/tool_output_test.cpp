#include "tools/gate/tool_output.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

TEST(ToolOutput, KeepsWhatIsPrintedAndHowItEnded) {
  const ToolOutput result = tool_output({"sh", "-c", "echo one; echo a >&2; echo two; echo b >&2; exit 3"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.text, "one\ntwo\n");
  EXPECT_EQ(result.why, "b");
  EXPECT_THROW((void)result.text_or_throw(), EnvironmentError);
}

TEST(ToolOutput, TakesMoreThanAPipeHoldsOnBothStreams) {
  const ToolOutput result =
      tool_output({"sh", "-c", "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero; exit 0"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.text.size(), 300000u);
}

TEST(ToolOutput, AProgramThatIsNotThereIsSaidSo) {
  const ToolOutput result = tool_output({"assay-no-such-program"});
  EXPECT_EQ(result.exit_code, -1);
  EXPECT_NE(result.why.find("No such file"), std::string::npos);
}

TEST(ToolOutput, AProgramThatASignalEndedDidNotEndWell) {
  EXPECT_EQ(tool_output({"sh", "-c", "kill -9 $$"}).exit_code, -1);
}

}  // namespace
}  // namespace assay::tools::gate
