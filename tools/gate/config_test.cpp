#include "tools/gate/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/core/check.h"

namespace assay::tools::gate {
namespace {

using Json = nlohmann::ordered_json;

Json minimal() {
  return Json::parse(R"({"schema": "assay.gate-config/1", "kernels": [{"name": "a", "kernel": "twin"}]})");
}

// The message of the refusal; "" when there is none.
std::string refusal_of(const std::string& text) {
  try {
    (void)parse_config(text, "gate.json");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST(GateConfig, TheCommentedOneParsesAndGatesTheTwin) {
  const GateConfig config = parse_config(commented_config(), "gate.json");
  ASSERT_EQ(config.kernels.size(), 1u);
  EXPECT_EQ(config.kernels[0].kernel, "twin");
  EXPECT_FALSE(config.kernels[0].on_device);
  EXPECT_EQ(config.selftest.mutants.size(), 5u);
  EXPECT_EQ(config.receipt, "gate/receipt.json");
}

TEST(GateConfig, ReadsEveryKey) {
  const GateConfig config = parse_config(R"({
    "schema": "assay.gate-config/1", "root": "..", "baselines": "b", "receipt": "r.json", "known_failures": "k.json",
    "selftest": {"mutants": ["K1a"], "cases": 7, "seconds": 2},
    "schedules": {"planners": ["assay"], "batches": 9, "worse_balance": 0.1},
    "kernels": [{"name": "n", "kernel": "./x.so", "device": "cuda", "operations": ["mqa-logits"],
      "sources": ["a.cu"], "include_paths": ["i"], "flags": ["-O3"], "cases": 3, "seeds": [4, 5],
      "products": 2000, "timeout_seconds": 1.5, "least_accepted": 0.5,
      "headroom": {"most": 0.9, "times_baseline": 1.2, "floor": 0.01},
      "resources": {"report": "p.txt", "binary": "x.so", "more_registers": 1, "more_spill_bytes": 2,
                    "more_stack_bytes": 3, "more_shared_bytes": 4, "instruction_growth": 0.2},
      "performance": {"baseline_kernel": "./y.so", "threshold": 0.05, "seconds": 9, "clock": "cpu", "shapes": ["s"]}}]})",
                                         "gate.json");
  EXPECT_EQ(config.root, "..");
  EXPECT_EQ(config.baselines, "b");
  EXPECT_EQ(config.known_failures, "k.json");
  EXPECT_EQ(config.selftest.cases, 7);
  EXPECT_EQ(config.schedules.batches, 9);
  EXPECT_EQ(config.schedules.worse_balance, 0.1);
  const GatedKernel& kernel = config.kernels.at(0);
  EXPECT_TRUE(kernel.on_device);
  EXPECT_EQ(kernel.seeds, (std::vector<std::uint64_t>{4, 5}));
  EXPECT_EQ(kernel.headroom.times_baseline, 1.2);
  EXPECT_EQ(kernel.resources.more_shared_bytes, 4);
  EXPECT_EQ(kernel.speed.shapes, std::vector<std::string>{"s"});
  EXPECT_EQ(kernel.least_accepted, 0.5);
}

TEST(GateConfig, AKeyThatIsNotKnownIsRefusedWithItsPlace) {
  Json json = minimal();
  json["kernels"][0]["headroom"] = {{"times_baselin", 9}};
  EXPECT_EQ(refusal_of(json.dump()),
            "gate.json.kernels[0].headroom: expected one of most, times_baseline, floor, got "
            "\"times_baselin\"");
  for (const char* place :
       {"", "/selftest", "/schedules", "/kernels/0", "/kernels/0/resources", "/kernels/0/performance"}) {
    Json other = minimal();
    Json& object = other[Json::json_pointer(place)];
    object["report"] = "p";
    object["baseline_kernel"] = "b";
    object["typo"] = 1;
    EXPECT_NE(refusal_of(other.dump()), "") << place;
  }
}

TEST(GateConfig, ValuesOfTheWrongKindAreRefused) {
  const auto with = [](const char* pointer, const Json& value) {
    Json json = minimal();
    json[Json::json_pointer(pointer)] = value;
    return refusal_of(json.dump());
  };
  EXPECT_EQ(with("/kernels/0/cases", 5), "");
  EXPECT_NE(with("/kernels/0/cases", 0), "");
  EXPECT_NE(with("/kernels/0/cases", 1.5), "");
  EXPECT_NE(with("/kernels/0/cases", "5"), "");
  EXPECT_NE(with("/kernels/0/seeds", Json::array()), "");
  EXPECT_NE(with("/kernels/0/seeds", Json::array({-1})), "");
  EXPECT_NE(with("/kernels/0/name", "a/b"), "");
  EXPECT_NE(with("/kernels/0/name", ""), "");
  EXPECT_NE(with("/kernels/0/device", "rocm"), "");
  EXPECT_NE(with("/kernels/0/device", "cuda"), "") << "a device kernel without sources";
  EXPECT_NE(with("/kernels/0/headroom", Json{{"most", 1.5}}), "") << "r above 1 is outside the bound";
  EXPECT_NE(with("/kernels/0/headroom", Json{{"times_baseline", 0.5}}), "");
  EXPECT_NE(with("/kernels/0/resources", Json::object()), "");
  EXPECT_NE(with("/kernels/0/performance", Json::object()), "");
  EXPECT_NE(with("/kernels", Json::array()), "");
  EXPECT_NE(with("/schema", "assay.gate-config/2"), "");
  Json twice = minimal();
  twice["kernels"].push_back(twice["kernels"][0]);
  EXPECT_NE(refusal_of(twice.dump()), "");
}

TEST(GateConfig, AKeyGivenTwiceIsRefused) {
  EXPECT_EQ(refusal_of(R"({"schema": "assay.gate-config/1", "kernels": [{"name": "a", "kernel": "twin",
                           "headroom": {"most": 0.5, "most": 1}}]})"),
            "gate.json: expected every key once in its object, got \"most\" twice");
}

TEST(GateConfig, BrokenJsonIsRefusedWithLineAndColumn) {
  EXPECT_NE(refusal_of("{\n  \"schema\": ,\n}").find("line 2"), std::string::npos);
}

TEST(GateConfig, StrictnessTellsEverySofterEntryApart) {
  const GatedKernel kernel = parse_config(minimal().dump(), "gate.json").kernels[0];
  std::vector<GatedKernel> softer(7, kernel);
  softer[0].cases = 1;
  softer[1].seeds = {2};
  softer[2].headroom.times_baseline = 3;
  softer[3].headroom.floor = 0.5;
  softer[4].least_accepted = 0;
  softer[5].operations = {"mqa-logits"};
  softer[6].speed = {"naive", 0.5, 60, "", {}};
  for (const GatedKernel& other : softer) EXPECT_NE(strictness_of(other), strictness_of(kernel));
}

}  // namespace
}  // namespace assay::tools::gate
