// Svg: shapes and text as a picture that any browser shows.
#pragma once

#include <string>
#include <string_view>

namespace switchyard::report {

class Svg {
 public:
  struct Fill {
    std::string color;
    double opacity = 1;
    std::string outline = {};  ///< empty: none
  };
  struct Stroke {
    std::string color;
    double width = 1;
  };
  struct Letters {
    double size = 12;
    std::string color = "#000";
    bool bold = false;
    std::string anchor = "start";  ///< start, middle, end
  };

  /// `title`: shown when the pointer rests there; may be empty.
  void box(double x, double y, double width, double height, const Fill& fill, std::string_view title = {});
  void line(double x0, double y0, double x1, double y1, const Stroke& stroke, std::string_view title = {});
  void diamond(double x, double y, double radius, const Fill& fill, std::string_view title = {});
  /// A tip that points along (dx, dy), one of the four directions.
  void arrow(double x, double y, double dx, double dy, double size, std::string_view color);
  /// `link`: where a click leads; may be empty.
  void text(double x, double y, std::string_view words, const Letters& letters, std::string_view link = {});
  /// Makes the next place the target of links to `#id`.
  void anchor(std::string_view id);
  /// The whole document.
  [[nodiscard]] std::string finish(double width, double height) const;

 private:
  void shape(std::string_view element, std::string_view title, std::string_view name);
  std::string body_, id_;
};

/// Text inside an XML element: marks escaped, what XML forbids (control characters, broken UTF-8) replaced by "?".
std::string escape_xml(std::string_view text);

}  // namespace switchyard::report
