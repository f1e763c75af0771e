#ifndef PQV_NONDK_MATH_H_
#define PQV_NONDK_MATH_H_

#ifdef __cplusplus
extern "C" {
#endif
double exp(double x);
double fmin(double x, double y);
double nearbyint(double x);
double sin(double x);
#ifdef __cplusplus
}
#endif

#endif  // PQV_NONDK_MATH_H_
