// Where the work runs: on torch's own OpenMP threads when its runtime is in the process, else on threads of our own.
//
// Torch's OpenMP threads spin for a while after each parallel region. Threads of our own would compete with them for the
// same cores, so theirs are borrowed: GOMP_parallel is the entry point that every compiled "omp parallel" calls.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <unistd.h>

#include "native.h"

namespace {

using ParallelRegion = void (*)(void (*body)(void*), void* data, unsigned threads, unsigned flags);

struct Queue {
    std::int64_t count;
    Task task;
    void* context;
    std::atomic<std::int64_t> next{0};
    std::atomic<int> workers{0};

    void work() {
        const int worker = workers.fetch_add(1, std::memory_order_relaxed);
        for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(context, i, worker);
    }
};

void work_on(void* queue) { static_cast<Queue*>(queue)->work(); }

// Threads that wait for a queue. Serves one caller at a time; whoever comes meanwhile works alone.
class Pool {
  public:
    void run(Queue& queue, std::int64_t threads) {
        std::unique_lock<std::mutex> one_caller(caller_, std::try_to_lock);
        // After a fork only the forking thread lives on in the child.
        if (!one_caller || (!members_.empty() && owner_ != getpid())) return queue.work();
        owner_ = getpid();
        try {
            while (static_cast<std::int64_t>(members_.size()) < threads - 1) members_.emplace_back([this] { wait(); });
        } catch (const std::system_error&) {
            // The system gives no more threads: those that are there do the work.
        }
        {
            std::lock_guard<std::mutex> lock(mutex_);
            queue_ = &queue;
            invited_ = threads - 1;
            ++round_;
        }
        wake_.notify_all();
        queue.work();
        std::unique_lock<std::mutex> lock(mutex_);
        invited_ = 0;
        idle_.wait(lock, [this] { return busy_ == 0; });
        queue_ = nullptr;
    }

  private:
    void wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (std::int64_t seen = 0;;) {
            wake_.wait(lock, [&] { return round_ != seen; });
            seen = round_;
            if (invited_ <= 0) continue;
            --invited_;
            ++busy_;
            Queue* queue = queue_;
            lock.unlock();
            queue->work();
            lock.lock();
            if (--busy_ == 0) idle_.notify_one();
        }
    }

    std::mutex caller_, mutex_;
    std::condition_variable wake_, idle_;
    std::vector<std::thread> members_;
    Queue* queue_ = nullptr;
    std::int64_t invited_ = 0, busy_ = 0, round_ = 0;
    pid_t owner_ = 0;
};

ParallelRegion find_parallel_region() {
#ifdef SIMLSTM_OWN_THREADS
    return nullptr;
#else
    return reinterpret_cast<ParallelRegion>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
#endif
}

}  // namespace

void run_tasks(std::int64_t count, std::int64_t threads, Task task, void* context) {
    Queue queue{count, task, context};
    if (threads > count) threads = count;
    if (threads <= 1) return queue.work();
    static const ParallelRegion parallel = find_parallel_region();
    if (parallel != nullptr) {
        parallel(work_on, &queue, static_cast<unsigned>(threads), 0);
    } else {
        static Pool* pool = new Pool;  // never destroyed: its threads may outlive main
        pool->run(queue, threads);
    }
}
