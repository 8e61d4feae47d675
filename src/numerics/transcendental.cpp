#include "numerics/transcendental.h"

#include <sleef.h>

#include <cmath>
#include <numbers>

namespace switchyard::numerics::portable {

namespace {
// Beyond its square root's range SLEEF's inverse hyperbolic functions give infinity, and below that of its doubled numbers zero.
constexpr double kGreat = 0x1p500, kSmall = 0x1p-500;
// Beyond this exp itself may overflow where half of it does not.
constexpr double kSteep = 700;

/// exp(x) / 2 for great x, within two units in the last place.
double halved_exp(double x) {
  const double root = exp(x / 2);
  return root / 2 * root;
}
}  // namespace

double exp(double x) { return Sleef_cinz_expd1_u10purec(x); }
double log(double x) { return Sleef_cinz_logd1_u10purec(x); }
double pow(double x, double y) { return Sleef_cinz_powd1_u10purec(x, y); }
double tanh(double x) { return Sleef_cinz_tanhd1_u10purec(x); }
double erf(double x) { return Sleef_cinz_erfd1_u10purec(x); }
double sin(double x) { return Sleef_cinz_sind1_u10purec(x); }
double cos(double x) { return Sleef_cinz_cosd1_u10purec(x); }
double tan(double x) { return Sleef_cinz_tand1_u10purec(x); }
double asin(double x) { return Sleef_cinz_asind1_u10purec(x); }
double acos(double x) { return Sleef_cinz_acosd1_u10purec(x); }
double atan(double x) { return Sleef_cinz_atand1_u10purec(x); }
double sinh(double x) { return std::fabs(x) > kSteep ? std::copysign(halved_exp(std::fabs(x)), x) : Sleef_cinz_sinhd1_u10purec(x); }
double cosh(double x) { return std::fabs(x) > kSteep ? halved_exp(std::fabs(x)) : Sleef_cinz_coshd1_u10purec(x); }

double asinh(double x) {
  const double size = std::fabs(x);
  if (size < kSmall) return x;
  if (size > kGreat) return std::copysign(log(size) + std::numbers::ln2, x);
  return Sleef_cinz_asinhd1_u10purec(x);
}

double acosh(double x) { return x > kGreat ? log(x) + std::numbers::ln2 : Sleef_cinz_acoshd1_u10purec(x); }

double atanh(double x) { return std::fabs(x) < kSmall ? x : Sleef_cinz_atanhd1_u10purec(x); }

}  // namespace switchyard::numerics::portable
