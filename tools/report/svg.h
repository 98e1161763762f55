// The few pictures that reports are made of, as inline SVG with a title for every mark, so that hovering gives
// numbers without any script. Colours are CSS variables: the page decides light and dark.
#pragma once

#include <string>
#include <vector>

namespace assay::tools {

[[nodiscard]] std::string escaped(const std::string& text);

struct Bar {
  std::string label;
  double value = 0;
  std::string shown;  // the value as text
  int color = 0;      // of the page's series colours
};
// Horizontal bars from zero to `top`; `name` is what a screen reader says.
[[nodiscard]] std::string bars_svg(const std::string& name, const std::vector<Bar>& bars, double top);

struct Layer {
  std::string label;
  std::vector<double> values;  // one per x
  int color = 0;
};
// Areas stacked to `top` over x; the layers' values are summed upward.
[[nodiscard]] std::string stacked_svg(const std::string& name, const std::vector<double>& x,
                                      const std::string& x_label, const std::vector<Layer>& layers,
                                      double top);
// Lines over x, from zero to the largest value.
[[nodiscard]] std::string lines_svg(const std::string& name, const std::vector<double>& x,
                                    const std::string& x_label, const std::vector<Layer>& lines);

}  // namespace assay::tools
