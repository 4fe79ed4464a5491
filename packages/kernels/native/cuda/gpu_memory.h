// A GPU's memory behind an arena (../host/arena.h): one range of addresses, behind which memory is put in granules of 2 MiB and taken away again.
// The rest of what a device needs is not in it: ops' working memory comes from the driver's own pool, in the order of the stream.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "../host/pages.h"
#include "driver.h"

namespace pt_cuda {

class GpuMemory {
 public:
  GpuMemory(const Driver* driver, int device, Stream stream) : driver_(driver), device_(device), stream_(stream) {}
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;
  GpuMemory(GpuMemory&& other) noexcept
      : driver_(other.driver_),
        device_(other.device_),
        stream_(other.stream_),
        bytes_(std::exchange(other.bytes_, 0)) {}
  // Nothing may be at work there.
  ~GpuMemory() {
    if (bytes_ == 0) return;
    give_back(base_, base_ + bytes_);
    driver_->cuMemAddressFree(address(base_), static_cast<size_t>(bytes_));
  }

  char* reserve(int64_t bytes) {
    Address found = 0;
    if (driver_->cuMemAddressReserve(&found, static_cast<size_t>(bytes), static_cast<size_t>(GRANULE), 0, 0) != CUDA_OK)
      return nullptr;
    bytes_ = bytes;
    base_ = reinterpret_cast<char*>(found);
    backed_.assign(static_cast<size_t>(bytes / GRANULE), false);
    return base_;
  }

  bool back(char* begin, char* end) {
    for (int64_t i = (begin - base_) / GRANULE; i * GRANULE < end - base_; i++)
      if (!backed_[static_cast<size_t>(i)] && !back_granule(i)) return false;
    return true;
  }
  // What was backed of whole granules.
  void give_back(char* begin, char* end) {
    for (int64_t i = (begin - base_ + GRANULE - 1) / GRANULE; (i + 1) * GRANULE <= end - base_; i++) {
      if (!backed_[static_cast<size_t>(i)]) continue;
      driver_->cuMemUnmap(address(base_ + i * GRANULE), GRANULE);
      backed_[static_cast<size_t>(i)] = false;
    }
  }
  int64_t page() const { return GRANULE; }

  void fence(const char*, const char*) {}
  void unfence(const char*, const char*) {}
  void mark(char* data, int byte, int64_t bytes) {
    driver_->cuMemsetD8Async(address(data), static_cast<unsigned char>(byte), static_cast<size_t>(bytes), stream_);
  }
  bool marked(const char* data, int byte, int64_t bytes) const {
    void* copy = nullptr;
    bool same = driver_->cuMemHostAlloc(&copy, static_cast<size_t>(bytes), 0) == CUDA_OK &&
                driver_->cuMemcpyDtoHAsync_v2(copy, address(data), static_cast<size_t>(bytes), stream_) == CUDA_OK &&
                driver_->cuStreamSynchronize(stream_) == CUDA_OK;
    for (int64_t i = 0; i < bytes && same; i++) same = static_cast<unsigned char*>(copy)[i] == byte;
    if (copy != nullptr) driver_->cuMemFreeHost(copy);
    return same;
  }

 private:
  static constexpr int64_t GRANULE = posttrain::kHugePage;  // what every GPU takes; the arena's ends are multiples

  static Address address(const char* data) { return static_cast<Address>(reinterpret_cast<uintptr_t>(data)); }

  bool back_granule(int64_t i) {
    AllocationProperties properties{};
    properties.type = 1;
    properties.location.type = 1;
    properties.location.id = device_;
    MemoryHandle handle = 0;
    if (driver_->cuMemCreate(&handle, GRANULE, &properties, 0) != CUDA_OK) return false;
    const Address at = address(base_ + i * GRANULE);
    const bool mapped = driver_->cuMemMap(at, GRANULE, 0, handle, 0) == CUDA_OK;
    driver_->cuMemRelease(handle);  // the mapping holds it
    if (!mapped) return false;
    const AccessDescription access = {properties.location, 3};
    if (driver_->cuMemSetAccess(at, GRANULE, &access, 1) != CUDA_OK) {
      driver_->cuMemUnmap(at, GRANULE);
      return false;
    }
    backed_[static_cast<size_t>(i)] = true;
    return true;
  }

  const Driver* driver_;
  int device_;
  Stream stream_;
  int64_t bytes_ = 0;
  char* base_ = nullptr;
  std::vector<bool> backed_;
};

}  // namespace pt_cuda
