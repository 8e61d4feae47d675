#include "report/svg.h"

#include <fmt/format.h>

#include <cmath>

namespace switchyard::report {
namespace {

/// At most two decimals, none that say nothing.
std::string number(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string paint(const Svg::Fill& fill) {
  std::string text = fmt::format("fill=\"{}\"", fill.color);
  if (fill.opacity < 1) text += fmt::format(" fill-opacity=\"{}\"", number(fill.opacity));
  if (!fill.outline.empty()) text += fmt::format(" stroke=\"{}\"", fill.outline);
  return text;
}

/// Bytes of the UTF-8 sequence at the beginning that XML allows; 0 when there is none.
std::size_t good_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (length == 0 || s.size() < length) return 0;
  std::uint32_t code = first & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool shortest = length == 2 || (length == 3 ? code >= 0x800 : code >= 0x10000);
  const bool allowed = code >= 0xa0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && code != 0xfffe && code != 0xffff;
  return shortest && allowed ? length : 0;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = good_sequence(text);
    if (length == 0) {
      out += '?';
      text.remove_prefix(1);
      continue;
    }
    switch (text[0]) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      default: out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

void Svg::shape(std::string_view element, std::string_view title, std::string_view name) {
  body_ += element;
  if (title.empty()) {
    body_ += "/>\n";
  } else {
    body_ += fmt::format("><title>{}</title></{}>\n", escape_xml(title), name);
  }
}

void Svg::box(double x, double y, double width, double height, const Fill& fill, std::string_view title) {
  shape(fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", number(x), number(y), number(width), number(height),
                    paint(fill)),
        title, "rect");
}

void Svg::line(double x0, double y0, double x1, double y1, const Stroke& stroke, std::string_view title) {
  shape(fmt::format("<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\"", number(x0), number(y0), number(x1),
                    number(y1), stroke.color, number(stroke.width)),
        title, "line");
}

void Svg::diamond(double x, double y, double radius, const Fill& fill, std::string_view title) {
  shape(fmt::format("<path d=\"M{} {}l{} {}l{} {}l{} {}z\" {}", number(x), number(y - radius), number(radius), number(radius),
                    number(-radius), number(radius), number(-radius), number(-radius), paint(fill)),
        title, "path");
}

void Svg::arrow(double x, double y, double dx, double dy, double size, std::string_view color) {
  shape(fmt::format("<path d=\"M{} {}l{} {}l{} {}z\" fill=\"{}\"", number(x + dx * size), number(y + dy * size),
                    number(-dx * size - dy * size), number(-dy * size + dx * size), number(2 * dy * size), number(-2 * dx * size), color),
        {}, "path");
}

void Svg::text(double x, double y, std::string_view words, const Letters& letters, std::string_view link) {
  std::string element =
      fmt::format("<text x=\"{}\" y=\"{}\" font-size=\"{}\" fill=\"{}\"", number(x), number(y), number(letters.size), letters.color);
  if (letters.bold) element += " font-weight=\"600\"";
  if (letters.anchor != "start") element += fmt::format(" text-anchor=\"{}\"", letters.anchor);
  if (!id_.empty()) element += fmt::format(" id=\"{}\"", escape_xml(id_));
  id_.clear();
  element += fmt::format(">{}</text>", escape_xml(words));
  body_ += link.empty() ? element + "\n" : fmt::format("<a href=\"{}\">{}</a>\n", escape_xml(link), element);
}

void Svg::anchor(std::string_view id) { id_ = id; }

std::string Svg::finish(double width, double height) const {
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
             "font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n"
             "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
             number(width), number(height)) +
         body_ + "</svg>\n";
}

}  // namespace switchyard::report
