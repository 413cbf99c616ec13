// What the library shows of itself: a C ABI, so that one build serves every Python.

#pragma once

#if defined(_WIN32)
#define SKIAGRAPH_API extern "C" __declspec(dllexport)
#else
#define SKIAGRAPH_API extern "C" __attribute__((visibility("default")))
#endif
