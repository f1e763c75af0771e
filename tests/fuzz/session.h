// Sessions without onnxruntime: what fuzz targets say is what a model says.

#ifndef PQV_TESTS_FUZZ_SESSION_H_
#define PQV_TESTS_FUZZ_SESSION_H_

#include <map>
#include <string>

#include "runner/session.h"

namespace pqv {

extern std::map<std::string, std::string> fake_metadata;
extern Port fake_input;

// A session that has the two, as they are now.
Session MakeFakeSession();

}  // namespace pqv

#endif  // PQV_TESTS_FUZZ_SESSION_H_
