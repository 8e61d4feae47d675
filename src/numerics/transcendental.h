// Transcendental functions of fp64 that give the same bits on every host, within one unit in the last place (two where sinh and cosh come
// near overflow).
//
// A C library may choose other instructions (fused multiply-add, say) on another processor, or another algorithm in its next release. These
// are SLEEF's functions of guaranteed results (Shibata and Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard Mathematical
// Functions", IEEE TPDS 2020), which round every operation on its own. Arguments out of a function's domain give NaN, as in C.
#pragma once

namespace switchyard::numerics::portable {

double exp(double x);
double log(double x);
double pow(double x, double y);
double tanh(double x);
double erf(double x);
double sin(double x);
double cos(double x);
double tan(double x);
double asin(double x);
double acos(double x);
double atan(double x);
double sinh(double x);
double cosh(double x);
double asinh(double x);
double acosh(double x);
double atanh(double x);

}  // namespace switchyard::numerics::portable
