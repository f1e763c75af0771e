// The entry points of the library, its only exported symbols.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "bindings/ops.h"
#include "bindings/system.h"

namespace pqv {
namespace {

constexpr size_t kOpCount = sizeof(kOps) / sizeof(kOps[0]);

const OpDeclaration& DeclarationOf(const OrtCustomOp* op) {
  return *static_cast<const RegisteredOp*>(op)->definition->declaration;
}

void FillOp(const OpDefinition& definition, size_t variant, RegisteredOp* op) {
  op->definition = &definition;
  op->variant = variant;
  op->version = kOrtApiVersion;
  op->GetName = [](const OrtCustomOp* self) { return DeclarationOf(self).name; };
  op->GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  op->GetInputTypeCount = [](const OrtCustomOp* self) { return DeclarationOf(self).input_count; };
  op->GetInputType = [](const OrtCustomOp* self, size_t i) {
    return DeclarationOf(self).inputs[i].type;
  };
  op->GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op->GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  op->GetOutputTypeCount = [](const OrtCustomOp*) { return size_t{1}; };
  op->GetOutputType = [](const OrtCustomOp* self, size_t) {
    return DeclarationOf(self).output_type;
  };
  op->GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op->GetStartVersion = [](const OrtCustomOp*) { return kDomainVersion; };
  op->GetEndVersion = [](const OrtCustomOp*) { return kDomainVersion; };
  op->CreateKernelV2 = definition.create;
  op->KernelComputeV2 = definition.run;
  op->KernelDestroy = definition.destroy;
}

// What sessions that selected one variant share. onnxruntime keeps pointers into it, so it lives
// as long as the process (see StayLoaded); domains stay null until a
// session asks for the variant.
struct VariantDomains {
  RegisteredOp ops[kOpCount];
  RegisteredOp info;
  OrtCustomOpDomain* domain;
  OrtCustomOpDomain* library_domain;
};

VariantDomains all_domains[kMaxVariants];
const OrtApi* domains_api = nullptr;  // the onnxruntime that made them
std::atomic_flag domains_lock = ATOMIC_FLAG_INIT;

class Lock {
 public:
  Lock() {
    while (domains_lock.test_and_set(std::memory_order_acquire)) YieldThread();
  }
  ~Lock() { domains_lock.clear(std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

OrtStatus* CreateDomains(const OrtApi* api, size_t variant, VariantDomains* domains) {
  if (domains->domain == nullptr) {
    OrtCustomOpDomain* domain = nullptr;
    PQV_RETURN_IF_ERROR(api->CreateCustomOpDomain(kDomain, &domain));
    for (size_t i = 0; i < kOpCount; ++i) {
      FillOp(*kOps[i], variant, &domains->ops[i]);
      OrtStatus* status = api->CustomOpDomain_Add(domain, &domains->ops[i]);
      if (status != nullptr) {
        api->ReleaseCustomOpDomain(domain);
        return status;
      }
    }
    domains->domain = domain;
  }
  if (domains->library_domain == nullptr) {
    OrtCustomOpDomain* domain = nullptr;
    PQV_RETURN_IF_ERROR(api->CreateCustomOpDomain(kLibraryDomain, &domain));
    FillOp(kInfoOp, variant, &domains->info);
    OrtStatus* status = api->CustomOpDomain_Add(domain, &domains->info);
    if (status != nullptr) {
      api->ReleaseCustomOpDomain(domain);
      return status;
    }
    domains->library_domain = domain;
  }
  return nullptr;
}

// The variant that PQV_ISA names, else the first one that this machine supports.
OrtStatus* SelectVariant(const OrtApi* api, size_t* selected) {
  const char* forced = getenv("PQV_ISA");
  const bool is_forced = forced != nullptr && forced[0] != '\0';
  char names[256] = "";
  for (size_t i = 0; i < kVariantCount; ++i) {
    const Variant& variant = kVariants[i];
    if (!is_forced ? variant.supported() : strcmp(variant.name, forced) == 0) {
      *selected = i;
      if (variant.supported()) return nullptr;
      char message[256];
      snprintf(message, sizeof(message), "PQV_ISA=%s asks for instructions that this CPU lacks",
               variant.name);
      return MakeStatus(api, ORT_INVALID_ARGUMENT, message);
    }
    const size_t used = strlen(names);
    snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "", variant.name);
  }
  char message[512];
  snprintf(message, sizeof(message),
           "PQV_ISA=%.64s is not a kernel variant of this library; it has: %s",
           is_forced ? forced : "", names);
  return MakeStatus(api, ORT_INVALID_ARGUMENT, message);
}

OrtStatus* Register(OrtSessionOptions* options, const OrtApi* api) {
  size_t variant = 0;
  PQV_RETURN_IF_ERROR(SelectVariant(api, &variant));
  const Lock lock;
  if (domains_api != nullptr && domains_api != api) {
    return api->CreateStatus(ORT_FAIL,
                             "the pqv op library already serves another onnxruntime of this "
                             "process, expected one onnxruntime per process");
  }
  domains_api = api;
  StayLoaded();
  VariantDomains* domains = &all_domains[variant];
  PQV_RETURN_IF_ERROR(CreateDomains(api, variant, domains));
  PQV_RETURN_IF_ERROR(api->AddCustomOpDomain(options, domains->domain));
  return api->AddCustomOpDomain(options, domains->library_domain);
}

}  // namespace
}  // namespace pqv

extern "C" PQV_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                   const OrtApiBase* api_base) {
  const OrtApi* api = api_base->GetApi(pqv::kOrtApiVersion);
  // An onnxruntime older than 1.18 offers no table of this version to make a status with. Nothing
  // is registered then, and a model that needs these ops falls back to its functions or fails.
  if (api == nullptr) return nullptr;
  return pqv::Register(options, api);
}

// For apps that cannot give onnxruntime a path but load the library themselves: the same, to be
// named to RegisterCustomOpsUsingFunction. onnxruntime looks the name up among the symbols of the
// whole process, where many op libraries have a RegisterCustomOps.
extern "C" PQV_EXPORT OrtStatus* RegisterPqvCustomOps(OrtSessionOptions* options,
                                                      const OrtApiBase* api_base) {
  return RegisterCustomOps(options, api_base);
}
