// The loops over pixels for AVX-512 (F, BW, VL, DQ).

#include "exposure_body.hpp"

namespace skiagraph {

const Exposing kAvx512Exposing = kExposing;

}  // namespace skiagraph
