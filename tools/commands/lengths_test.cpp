// Lengths as typed; every malformed word is named.
#include "tools/commands/lengths.h"

#include <gtest/gtest.h>

#include "model/core/check.h"

namespace assay::tools {
namespace {

TEST(Lengths, AreReadWithRepeatsAndBinaryUnits) {
  EXPECT_EQ(parse_lengths("8192,2x2k,128K,1m,0", "--lengths"),
            (std::vector<std::int64_t>{8192, 2048, 2048, 131072, 1 << 20, 0}));
  EXPECT_EQ(parse_lengths("0x5,7", "--lengths"), (std::vector<std::int64_t>{7})) << "no sequence of length 5";
}

TEST(Lengths, MalformedWordsAreRefusedByName) {
  for (const char* text :
       {"", "a", "1,,2", "-5", "3x", "x3", "1kk", "99999999999999999999", "2000000x1", "1.5"}) {
    EXPECT_THROW((void)parse_lengths(text, "--lengths"), InputError) << text;
  }
  try {
    (void)parse_lengths("1,2q,3", "--lengths");
  } catch (const InputError& error) {
    EXPECT_EQ(error.got(), "'2q'");
  }
}

}  // namespace
}  // namespace assay::tools
