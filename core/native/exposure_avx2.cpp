// The loops over pixels for AVX2 with FMA.

#include "exposure_body.hpp"

namespace skiagraph {

const Exposing kAvx2Exposing = kExposing;

}  // namespace skiagraph
