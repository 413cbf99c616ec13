// Work on several threads. Each item is done by one thread alone, so results do not depend on how many there are.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

namespace skiagraph {

template <class Work>
void share_out(std::int64_t items, std::int32_t threads, const Work& work) {
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> failed{false};
    const auto take = [&] {
        try {
            for (std::int64_t item; (item = next.fetch_add(1)) < items;) work(item);
        } catch (const std::bad_alloc&) {
            failed = true;  // told by the thread that asked: what leaves another ends the process
        }
    };
    std::vector<std::thread> team;
    const auto helpers = std::min<std::int64_t>(threads, items) - 1;
    try {
        for (std::int64_t n = 0; n < helpers; ++n) team.emplace_back(take);
    } catch (const std::exception&) {
        // The system has no more threads to give: those there are do the work.
    }
    take();
    for (auto& member : team) member.join();
    if (failed) throw std::bad_alloc();
}

}  // namespace skiagraph
