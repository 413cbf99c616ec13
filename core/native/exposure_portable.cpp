// The loops over pixels for any processor.

#include "exposure_body.hpp"

namespace skiagraph {

const Exposing kPortableExposing = kExposing;

}  // namespace skiagraph
