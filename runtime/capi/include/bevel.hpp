/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * libbevel for C++11 and newer: what bevel.h has, with owners that close themselves and exceptions of
 * type bevel::Error instead of status codes. Only a header: nothing of it is in the library. For what is
 * not wrapped use bevel.h with get().
 */
#ifndef BEVEL_HPP
#define BEVEL_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bevel.h"

namespace bevel {

/** A call that failed: what() is its line, status() its kind. */
class Error : public std::runtime_error {
public:
    explicit Error(bevel_status status) : std::runtime_error(bevel_last_error()), status_(status) {}
    bevel_status status() const { return status_; }

private:
    bevel_status status_;
};

/** Throws where a call failed. */
inline void check(bevel_status status) {
    if (status != BEVEL_OK) throw Error(status);
}

/** A struct of bevel.h, ready to be filled: init<bevel_input>(). */
template <class T>
T init() {
    T made;
    check(bevel_init(&made, sizeof made));
    return made;
}

namespace detail {

struct Close {
    void operator()(bevel_model *model) const { bevel_model_close(model); }
    void operator()(bevel_stream *stream) const { bevel_stream_close(stream); }
    void operator()(bevel_answer *answer) const { bevel_answer_close(answer); }
};

/* Asks for the size first. */
template <class T, class Call>
std::vector<T> values(Call call) {
    std::size_t needed = 0;
    check(call(static_cast<T *>(nullptr), std::size_t(0), &needed));
    std::vector<T> found(needed);
    if (needed > 0) check(call(found.data(), needed, &needed));
    return found;
}

template <class Call>
std::string text(Call call) {
    const std::vector<char> found = values<char>(call);
    return std::string(found.data(), found.size() - 1);
}

}  // namespace detail

/* Inputs. They borrow: what they point to must live until run() returns. */

inline bevel_input text(const char *text) {
    bevel_input input = init<bevel_input>();
    input.kind = BEVEL_INPUT_TEXT;
    input.text = text;
    return input;
}

inline bevel_input question(const char *question, const char *context) {
    bevel_input input = init<bevel_input>();
    input.kind = BEVEL_INPUT_QUESTION;
    input.question = question;
    input.text = context;
    return input;
}

/** The path of a picture, a recording or tensors, whatever the model takes. */
inline bevel_input file(const char *path) {
    bevel_input input = init<bevel_input>();
    input.kind = BEVEL_INPUT_FILE;
    input.text = path;
    return input;
}

inline bevel_input pixels(const void *data, std::uint32_t width, std::uint32_t height,
                          bevel_pixel_format format = BEVEL_PIXELS_RGB,
                          std::size_t stride_bytes = 0) {
    bevel_input input = init<bevel_input>();
    input.kind = BEVEL_INPUT_PIXELS;
    input.pixel_format = format;
    input.data = data;
    input.width = width;
    input.height = height;
    input.stride_bytes = stride_bytes;
    return input;
}

inline bevel_input sound(const float *samples, std::size_t count, std::uint32_t sample_rate_hz) {
    bevel_input input = init<bevel_input>();
    input.kind = BEVEL_INPUT_SOUND;
    input.data = samples;
    input.count = count;
    input.sample_rate_hz = sample_rate_hz;
    return input;
}

/** What a model answered in one call. */
class Answer {
public:
    explicit Answer(bevel_answer *answer) : answer_(answer) {}
    bevel_answer *get() const { return answer_.get(); }

    std::size_t size() const {
        std::size_t count = 0;
        check(bevel_answer_count(get(), &count));
        return count;
    }
    std::string json(std::size_t item) const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_answer_json(get(), item, to, capacity, needed);
        });
    }
    std::vector<float> embedding(std::size_t item) const {
        return detail::values<float>([&](float *to, std::size_t capacity, std::size_t *needed) {
            return bevel_answer_embedding(get(), item, to, capacity, needed);
        });
    }
    std::string text(std::size_t item) const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_answer_text(get(), item, to, capacity, needed);
        });
    }
    std::vector<bevel_part> parts(std::size_t item) const {
        return detail::values<bevel_part>(
            [&](bevel_part *to, std::size_t capacity, std::size_t *needed) {
                return bevel_answer_parts(get(), item, to, capacity, needed);
            });
    }
    std::string part_label(std::size_t item, std::size_t part) const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_answer_part_label(get(), item, part, to, capacity, needed);
        });
    }
    std::string part_text(std::size_t item, std::size_t part) const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_answer_part_text(get(), item, part, to, capacity, needed);
        });
    }

private:
    std::unique_ptr<bevel_answer, detail::Close> answer_;
};

/** A model that is open. */
class Model {
public:
    explicit Model(const std::string &path, const bevel_model_options *options = nullptr) {
        bevel_model *opened = nullptr;
        check(bevel_model_open(path.c_str(), options, &opened));
        model_.reset(opened);
    }
    /** From a packed bundle in memory. */
    Model(const void *data, std::size_t size_bytes, const bevel_model_options *options = nullptr) {
        bevel_model *opened = nullptr;
        check(bevel_model_open_memory(data, size_bytes, options, &opened));
        model_.reset(opened);
    }
    bevel_model *get() const { return model_.get(); }

    Answer run(const std::vector<bevel_input> &inputs) {
        bevel_answer *answer = nullptr;
        check(bevel_run(get(), inputs.data(), inputs.size(), &answer));
        return Answer(answer);
    }
    Answer run(const bevel_input &input) { return run(std::vector<bevel_input>(1, input)); }
    /** From any thread. */
    void cancel() { check(bevel_cancel(get())); }

    bevel_model_info info() const {
        bevel_model_info info = init<bevel_model_info>();
        check(bevel_model_get_info(get(), &info));
        return info;
    }
    std::string label(std::size_t index) const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_model_label(get(), index, to, capacity, needed);
        });
    }
    std::string json() const {
        return detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
            return bevel_model_json(get(), to, capacity, needed);
        });
    }

private:
    std::unique_ptr<bevel_model, detail::Close> model_;
};

/** Speech as it is spoken. */
class Stream {
public:
    struct Event {
        bevel_event event;
        std::string text;
    };

    explicit Stream(const std::string &path, const bevel_model_options *options = nullptr,
                    const bevel_stream_options *stream_options = nullptr) {
        bevel_stream *opened = nullptr;
        check(bevel_stream_open(path.c_str(), options, stream_options, &opened));
        stream_.reset(opened);
    }
    bevel_stream *get() const { return stream_.get(); }

    std::size_t push(const float *samples, std::size_t count) {
        std::size_t taken = 0;
        check(bevel_stream_push(get(), samples, count, &taken));
        return taken;
    }
    std::size_t room() {
        std::size_t room = 0;
        check(bevel_stream_room(get(), &room));
        return room;
    }
    Event poll(std::uint32_t timeout_ms) {
        Event found = {init<bevel_event>(), std::string()};
        check(bevel_stream_poll(get(), timeout_ms, &found.event));
        if (found.event.text_bytes > 0) {
            found.text = detail::text([&](char *to, std::size_t capacity, std::size_t *needed) {
                return bevel_stream_event_text(get(), to, capacity, needed);
            });
        }
        return found;
    }
    void flush() { check(bevel_stream_flush(get())); }
    void finish() { check(bevel_stream_finish(get())); }

private:
    std::unique_ptr<bevel_stream, detail::Close> stream_;
};

}  // namespace bevel

#endif /* BEVEL_HPP */
