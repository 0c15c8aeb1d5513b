/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * libbevel: models for text, vision and speech on small devices, through ONNX Runtime.
 *
 * RULES
 *
 * Status. Functions return a bevel_status. BEVEL_OK is 0; whatever else it is, nothing was done, and
 * bevel_last_error has a line that says why. The library never prints, exits, aborts for what a caller
 * or a file contains, opens the network, or lets an exception out.
 *
 * Handles. bevel_model, bevel_stream and bevel_answer are closed by who opened them, each with its own
 * function, in any order: an answer outlives its model. A handle is no address: null, garbage, one
 * that was closed and one of another kind give BEVEL_BAD_INPUT everywhere. Closing null does nothing.
 *
 * Memory. What is passed in is the caller's, and is read before the function returns; nothing of it is
 * kept or freed. What comes out is copied into buffers of the caller's. The only pointers that the library
 * gives away are those of bevel_last_error, which live until the next call of the thread that fails, and
 * of bevel_version and bevel_status_name, which are constants.
 *
 * Buffers. Functions with (buffer, capacity, needed) tell in *needed how many values there are, and copy
 * them if the buffer holds them all, else nothing: BEVEL_BUFFER_TOO_SMALL. Without a buffer (null) they
 * only tell, and return BEVEL_OK. needed may be null where a buffer is given. Of text, values are bytes
 * of UTF-8 with the zero at its end, which counts.
 *
 * Text is UTF-8 with a zero at its end; paths are bytes as the system takes them.
 *
 * Structs that begin with struct_size may grow in later versions. Make them ready with BEVEL_INIT, set what
 * you need and leave the rest 0, which is the default. Programs that were compiled with an older header go
 * on to work; what a newer header has and this library does not know is BEVEL_UNSUPPORTED where it is set.
 * Enumerations are passed as int32_t; a number that is none of them is BEVEL_BAD_INPUT.
 *
 * Threads. All functions may be called from any thread. A model serves one call at a time, others wait.
 * Nothing may be called from a signal handler, or in a child after fork: start threads and open models
 * after it.
 *
 * What cannot be checked is whether a pointer to data that is not null is right, and the size that is
 * passed with it.
 */


#ifndef BEVEL_H
#define BEVEL_H

/* Written by cbindgen from runtime/capi/src; `make header` writes it again. */

#include <stddef.h>
#include <stdint.h>

/* Makes a struct of this header ready: all zero, and its first field its size. */
#define BEVEL_INIT(any_struct) bevel_init(&(any_struct), sizeof(any_struct))


/**
 * Counts up whenever programs have to be compiled again: see bevel_abi_version.
 */
#define BEVEL_ABI_VERSION 0

/**
 * The most axes of a tensor here.
 */
#define BEVEL_MAX_RANK 8

/**
 * The most bytes of a tensor's name here, with the zero at its end.
 */
#define BEVEL_MAX_NAME 256

/**
 * What became of a call. The numbers are the exit codes of the `bevel` program.
 */
enum bevel_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Done.
     */
    BEVEL_OK = 0,
    /**
     * What was passed in cannot be used: a null pointer, a handle that is not open, a number out of range,
     * text that is not UTF-8, a damaged picture or recording.
     */
    BEVEL_BAD_INPUT = 2,
    /**
     * The model cannot be used: it is missing, damaged, or made for something else.
     */
    BEVEL_BAD_MODEL = 3,
    /**
     * ONNX Runtime or a device that was asked for cannot be had.
     */
    BEVEL_NO_DEVICE = 4,
    /**
     * Somebody else is at it; try again.
     */
    BEVEL_BUSY = 5,
    /**
     * Well-formed, but not something this build does.
     */
    BEVEL_UNSUPPORTED = 6,
    /**
     * The memory that was allowed is used up.
     */
    BEVEL_NO_MEMORY = 8,
    /**
     * The buffer is too small; how large it has to be was told.
     */
    BEVEL_BUFFER_TOO_SMALL = 9,
    /**
     * A defect of Bevel.
     */
    BEVEL_INTERNAL = 70,
    /**
     * It was stopped by bevel_cancel or by closing its handle.
     */
    BEVEL_CANCELLED = 130,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_status bevel_status;
#else
typedef int32_t bevel_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Type of the values of a tensor.
 */
enum bevel_dtype
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * One that this interface has no values for. float16 is given and answered as float32.
     */
    BEVEL_OTHER = 0,
    /**
     * float
     */
    BEVEL_F32 = 1,
    /**
     * double
     */
    BEVEL_F64 = 2,
    /**
     * int64_t
     */
    BEVEL_I64 = 3,
    /**
     * int32_t
     */
    BEVEL_I32 = 4,
    /**
     * int8_t
     */
    BEVEL_I8 = 5,
    /**
     * uint8_t
     */
    BEVEL_U8 = 6,
    /**
     * uint8_t of 0 or 1
     */
    BEVEL_BOOL = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_dtype bevel_dtype;
#else
typedef int32_t bevel_dtype;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What happens in a stream. An utterance is one STARTED, any number of PARTIAL, and then FINAL, once or
 * several times, or EMPTY.
 */
enum bevel_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nothing has happened yet.
     */
    BEVEL_EVENT_NONE = 0,
    /**
     * Somebody speaks, since start_s.
     */
    BEVEL_EVENT_STARTED = 1,
    /**
     * What the utterance is so far: its text, of which the first agreed_bytes do not change any more.
     */
    BEVEL_EVENT_PARTIAL = 2,
    /**
     * What was said.
     */
    BEVEL_EVENT_FINAL = 3,
    /**
     * The utterance has no words.
     */
    BEVEL_EVENT_EMPTY = 4,
    /**
     * Sound was refused because the model is too slow and the buffer was full: from start_s to end_s.
     */
    BEVEL_EVENT_DROPPED = 5,
    /**
     * Something failed at start_s; status and text tell what. The stream goes on.
     */
    BEVEL_EVENT_ERROR = 6,
    /**
     * The stream was finished, and everything in it is written down.
     */
    BEVEL_EVENT_ENDED = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_event_kind bevel_event_kind;
#else
typedef int32_t bevel_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an input is, and which fields of bevel_input count.
 */
enum bevel_input_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * `text`
     */
    BEVEL_INPUT_TEXT = 1,
    /**
     * `question`, and `text` that has the answer
     */
    BEVEL_INPUT_QUESTION = 2,
    /**
     * `data`, `width`, `height`, `stride_bytes` and `pixel_format`
     */
    BEVEL_INPUT_PIXELS = 3,
    /**
     * `data`, which is an array of `count` floats in -1 to 1 of one channel, and `sample_rate_hz`
     */
    BEVEL_INPUT_SOUND = 4,
    /**
     * `tensors`, an array of `count`
     */
    BEVEL_INPUT_TENSORS = 5,
    /**
     * `text`, the path of what the model takes: a picture (JPEG, PNG, WebP, BMP, GIF, TIFF), a recording
     * (WAV, FLAC, MP3, Ogg Vorbis, AAC, ALAC, AIFF, CAF) or tensors (JSON, NPY, safetensors)
     */
    BEVEL_INPUT_FILE = 6,
    /**
     * `data`, the `count` bytes of such a file
     */
    BEVEL_INPUT_BYTES = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_input_kind bevel_input_kind;
#else
typedef int32_t bevel_input_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How important a message is.
 */
enum bevel_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Something failed.
     */
    BEVEL_LOG_ERROR = 1,
    /**
     * Something is odd, and was gone on with.
     */
    BEVEL_LOG_WARNING = 2,
    /**
     * What happens.
     */
    BEVEL_LOG_INFO = 3,
    /**
     * What happens in detail.
     */
    BEVEL_LOG_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_log_level bevel_log_level;
#else
typedef int32_t bevel_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The order of the bytes of a pixel. Alpha is left out.
 */
enum bevel_pixel_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Red, green, blue: as it is needed, so that nothing is copied.
     */
    BEVEL_PIXELS_RGB = 0,
    /**
     * Blue, green, red.
     */
    BEVEL_PIXELS_BGR = 1,
    /**
     * Red, green, blue, alpha.
     */
    BEVEL_PIXELS_RGBA = 2,
    /**
     * Blue, green, red, alpha.
     */
    BEVEL_PIXELS_BGRA = 3,
    /**
     * Grey.
     */
    BEVEL_PIXELS_GRAY = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_pixel_format bevel_pixel_format;
#else
typedef int32_t bevel_pixel_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which threads run the graphs. Either way they sleep between runs.
 */
enum bevel_pool
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * One pool for all models of the process.
     */
    BEVEL_POOL_SHARED = 0,
    /**
     * A pool for each graph, whose threads wait for each other actively: faster where only one model
     * runs.
     */
    BEVEL_POOL_PER_GRAPH = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_pool bevel_pool;
#else
typedef int32_t bevel_pool;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a model answers.
 */
enum bevel_task
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Text or picture to a vector.
     */
    BEVEL_EMBED = 1,
    /**
     * Text or picture to labels.
     */
    BEVEL_CLASSIFY = 2,
    /**
     * Text to labelled entities.
     */
    BEVEL_TAG = 3,
    /**
     * Question and text to the part of the text that answers.
     */
    BEVEL_ANSWER = 4,
    /**
     * Masked text to candidates; not served yet.
     */
    BEVEL_FILL = 5,
    /**
     * Text to the text that follows.
     */
    BEVEL_GENERATE = 6,
    /**
     * Picture to labelled boxes.
     */
    BEVEL_DETECT = 7,
    /**
     * Picture to masks: of each thing, or of each class.
     */
    BEVEL_SEGMENT = 8,
    /**
     * Picture to boxes with keypoints.
     */
    BEVEL_POSE = 9,
    /**
     * Picture to boxes of any direction.
     */
    BEVEL_OBB = 10,
    /**
     * Speech to text.
     */
    BEVEL_TRANSCRIBE = 11,
    /**
     * Any graph: tensors to tensors.
     */
    BEVEL_TENSORS = 12,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_task bevel_task;
#else
typedef int32_t bevel_task;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which times a transcript has.
 */
enum bevel_timestamps
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Those of pauses: a segment is what is said between two.
     */
    BEVEL_TIMESTAMPS_PAUSES = 0,
    /**
     * Those that the model writes: a segment is about a sentence.
     */
    BEVEL_TIMESTAMPS_SEGMENTS = 1,
    /**
     * Those of words, too; they are in the JSON of the answer.
     */
    BEVEL_TIMESTAMPS_WORDS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum bevel_timestamps bevel_timestamps;
#else
typedef int32_t bevel_timestamps;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a model answered in one call.
 */
typedef struct bevel_answer bevel_answer;

/**
 * A model that is open.
 */
typedef struct bevel_model bevel_model;

/**
 * Speech that is being heard.
 */
typedef struct bevel_stream bevel_stream;

/**
 * What holds for the whole process, because ONNX Runtime is there once in a process. Zero and null are
 * defaults. What it points to need not outlive the call.
 */
typedef struct bevel_runtime_options {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * The ONNX Runtime library. When not given: the environment's ORT_DYLIB_PATH, beside libbevel.so,
     * beside the program, ../lib of it, then the system's folders.
     */
    const char *library;
    /**
     * The most bytes that ONNX Runtime may hold for weights and results of all models, on the CPU. What
     * needs more fails with BEVEL_NO_MEMORY. No limit when 0. Weights that are mapped from a file do not
     * count.
     */
    size_t memory_cap_bytes;
    /**
     * Processors, counted from 0, on which the threads of pools run; all when not given. Linux only.
     */
    const uint32_t *cores;
    /**
     * How many of them.
     */
    size_t core_count;
    /**
     * Threads of a pool; the physical cores when 0.
     */
    uint32_t threads;
    /**
     * Which threads run the graphs, see bevel_pool.
     */
    int32_t pool;
    /**
     * How much the threads of pools give way to others, 1 to 19 as nice counts. Linux only.
     */
    int32_t nice;
} bevel_runtime_options;

/**
 * Hears messages: `user` as it was given, a bevel_log_level, and one line of UTF-8 text that lives for the
 * length of the call. It is called from any thread, several at once, and in the middle of calls. It must
 * return, throw nothing, and call no function of this header.
 */
typedef void (*bevel_log_callback)(void *user, int32_t level, const char *message);

/**
 * What may be chosen when a model is opened. Zero and null are the model's own, for every field. What it
 * points to need not outlive the call.
 */
typedef struct bevel_model_options {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * For a plain model, which is no bundle: the file that describes it.
     */
    const char *recipe;
    /**
     * Where it runs, such as "cuda:0" or "cuda,cpu": the first that can be had, else an error. The CPU
     * when not given.
     */
    const char *device;
    /**
     * Which precision of the bundle runs, such as "int8".
     */
    const char *variant;
    /**
     * Boxes below this score are dropped, in 0 to 1.
     */
    float min_score;
    /**
     * IoU above which the weaker of two boxes of a class is dropped, in 0 to 1.
     */
    float iou;
    /**
     * How many boxes are answered for a picture.
     */
    uint32_t max_boxes;
    /**
     * How many labels are answered.
     */
    uint32_t top_k;
    /**
     * Longest text in tokens; where text is generated, the tokens behind the prompt.
     */
    uint32_t max_tokens;
    /**
     * Which times a transcript has, see bevel_timestamps.
     */
    int32_t timestamps;
    /**
     * Language to hear, ISO 639-1 such as "en".
     */
    const char *language;
    /**
     * Text that a speech model takes for what came before.
     */
    const char *prompt;
    /**
     * Words that are likely to be said, such as names: an array of hot_word_count texts.
     */
    const char *const *hot_words;
    /**
     * How many.
     */
    size_t hot_word_count;
    /**
     * An n-gram language model in ARPA format for a beam search.
     */
    const char *language_model;
    /**
     * Whether what is heard is written down in English, 0 or 1.
     */
    int32_t translate;
    /**
     * Whether Whisper always hears its whole window of 30 s, 0 or 1.
     */
    int32_t full_window;
    /**
     * How many pieces of a recording Whisper hears together.
     */
    uint32_t batch;
    /**
     * How many candidates a beam search keeps.
     */
    uint32_t beams;
} bevel_model_options;

/**
 * What a model takes and answers. Numbers that do not apply, or that the model leaves open, are 0.
 */
typedef struct bevel_model_info {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * What it answers, see bevel_task.
     */
    int32_t task;
    /**
     * What it takes: for each bevel_input_kind K, bit K (1 << K) is set where K is taken.
     */
    uint32_t input_kinds;
    /**
     * How many labels it has; their names are told by bevel_model_label.
     */
    uint32_t label_count;
    /**
     * How many values a vector has.
     */
    uint32_t embedding_size;
    /**
     * Rate of sound that is not resampled.
     */
    uint32_t sample_rate_hz;
    /**
     * Width to which pictures are brought.
     */
    uint32_t image_width;
    /**
     * Height to which pictures are brought.
     */
    uint32_t image_height;
    /**
     * Longest text in tokens.
     */
    uint32_t max_tokens;
    /**
     * How many inputs its graph has, where it is a single one.
     */
    uint32_t tensor_inputs;
    /**
     * How many outputs.
     */
    uint32_t tensor_outputs;
} bevel_model_info;

/**
 * What a tensor is: of a model, or of an answer.
 */
typedef struct bevel_tensor_info {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * Its name.
     */
    char name[BEVEL_MAX_NAME];
    /**
     * Type of its values, see bevel_dtype.
     */
    int32_t dtype;
    /**
     * How many axes.
     */
    uint32_t rank;
    /**
     * Size of each axis; -1 where any size goes.
     */
    int64_t shape[BEVEL_MAX_RANK];
    /**
     * Size of its values as they are given and answered; 0 where the shape is not fixed.
     */
    size_t size_bytes;
} bevel_tensor_info;

/**
 * A tensor that goes in. This struct never grows.
 */
typedef struct bevel_tensor {
    /**
     * The name of the graph's input; null for the only one.
     */
    const char *name;
    /**
     * Type of the values, see bevel_dtype.
     */
    int32_t dtype;
    /**
     * How many axes, at most BEVEL_MAX_RANK; 0 for a single value.
     */
    uint32_t rank;
    /**
     * Size of each axis.
     */
    const size_t *shape;
    /**
     * The values in row-major order, at any address.
     */
    const void *data;
    /**
     * Their size.
     */
    size_t size_bytes;
} bevel_tensor;

/**
 * One thing that a model is asked. What it points to must stay as it is until the call returns.
 */
typedef struct bevel_input {
    /**
     * Set by BEVEL_INIT; the same for all of an array.
     */
    size_t struct_size;
    /**
     * What it is, see bevel_input_kind.
     */
    int32_t kind;
    /**
     * Order of the bytes of pixels, see bevel_pixel_format.
     */
    int32_t pixel_format;
    /**
     * A text, or the path of a file.
     */
    const char *text;
    /**
     * A question.
     */
    const char *question;
    /**
     * Pixels, samples, or the bytes of a file.
     */
    const void *data;
    /**
     * Tensors.
     */
    const struct bevel_tensor *tensors;
    /**
     * How many samples, bytes or tensors.
     */
    size_t count;
    /**
     * From the start of a row of pixels to the start of the next; 0 for rows without gaps.
     */
    size_t stride_bytes;
    /**
     * Width of the picture in pixels, at most 32768.
     */
    uint32_t width;
    /**
     * Height of the picture in pixels, at most 32768.
     */
    uint32_t height;
    /**
     * Rate of the samples, 1000 to 384000.
     */
    uint32_t sample_rate_hz;
} bevel_input;

/**
 * Where the time of a call went, all its inputs added up. This struct never grows.
 */
typedef struct bevel_timing {
    /**
     * From the caller's data to the tensors of the graph, in milliseconds.
     */
    double prepare_ms;
    /**
     * Inside ONNX Runtime.
     */
    double run_ms;
    /**
     * From the tensors of the graph to the answer.
     */
    double decode_ms;
} bevel_timing;

/**
 * One part of an answer. What its task does not have is 0. This struct never grows.
 */
typedef struct bevel_part {
    /**
     * Left edge of the box in pixels of the picture.
     */
    float x1;
    /**
     * Its upper edge.
     */
    float y1;
    /**
     * Its right edge.
     */
    float x2;
    /**
     * Its lower edge.
     */
    float y2;
    /**
     * How sure the model is, in 0 to 1; for classes of pixels their share of the picture.
     */
    float score;
    /**
     * Index of the label; UINT32_MAX where it has none.
     */
    uint32_t label;
    /**
     * Start in seconds of speech, or in characters of text.
     */
    double start;
    /**
     * End, in the same unit.
     */
    double end;
} bevel_part;

/**
 * What may be chosen for a stream. Zero is the default, for every field.
 */
typedef struct bevel_stream_options {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * Rate of the samples that are pushed, 1000 to 384000; 16000 by default.
     */
    uint32_t sample_rate_hz;
    /**
     * Speech starts at this probability, more than 0 and less than 1; the model's by default.
     */
    float threshold;
    /**
     * A pause of this length ends an utterance, 100 to 10000; 500 by default.
     */
    uint32_t min_silence_ms;
    /**
     * After so much of a pause the text is made in advance; 300 by default.
     */
    uint32_t advance_after_ms;
    /**
     * New sound between two partial texts, at least; 300 by default.
     */
    uint32_t partial_every_ms;
    /**
     * 1 for no partial texts, which spares the work for them.
     */
    int32_t no_partials;
    /**
     * Sound that is kept while the model is busy, 1000 to 600000; 20000 by default.
     */
    uint32_t buffer_ms;
} bevel_stream_options;

/**
 * What happened in a stream. Its text is told by bevel_stream_event_text.
 */
typedef struct bevel_event {
    /**
     * Set by BEVEL_INIT.
     */
    size_t struct_size;
    /**
     * What it is, see bevel_event_kind.
     */
    int32_t kind;
    /**
     * What failed, a bevel_status; BEVEL_OK for all but errors.
     */
    int32_t status;
    /**
     * Start in seconds since the stream began.
     */
    double start_s;
    /**
     * End.
     */
    double end_s;
    /**
     * Final texts: how long after the sound was pushed that decided that speech had ended.
     */
    double latency_s;
    /**
     * Bytes of the text, without the zero at its end.
     */
    size_t text_bytes;
    /**
     * Of those, the ones that do not change any more in later events of the utterance.
     */
    size_t agreed_bytes;
} bevel_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The message of the last call of this thread that failed: one line for people, UTF-8. Empty where none
 * has. The text lives until the next call of this thread that fails, or until the thread ends; copy it to
 * keep it. Never null.
 */
const char *bevel_last_error(void);

/**
 * The name of a status, such as "BEVEL_BAD_INPUT"; "unknown status" for what is none. A constant.
 */
const char *bevel_status_name(int32_t status);

/**
 * Starts ONNX Runtime with options; null for defaults. Optional: opening a model starts it with defaults.
 * A second call with the same options does nothing.
 *
 * Sets ORT_DISABLE_TELEMETRY=1 in the environment of the process, by setenv, before the library is
 * loaded: newer official builds of ONNX Runtime send telemetry otherwise. setenv is not safe beside
 * getenv in other threads, so call this early in main, or have the variable set by who starts the
 * program.
 *
 * Errors: BEVEL_NO_DEVICE when ONNX Runtime cannot be found or loaded, BEVEL_BAD_INPUT for options that
 * are out of range, or other ones than it runs with.
 */
bevel_status bevel_start(const struct bevel_runtime_options *options);

/**
 * The version of the library, such as "0.1.0". A constant.
 */
const char *bevel_version(void);

/**
 * The version of the interface that the library has. A program works with it where this is the
 * BEVEL_ABI_VERSION that it was compiled with.
 */
uint32_t bevel_abi_version(void);

/**
 * Hands messages of `level` and more important ones to `callback`; null for nobody. What was set before
 * is no longer called when this returns. ONNX Runtime itself tells warnings and errors. Without a
 * callback messages are dropped; nothing is ever printed. Under a memory cap ONNX Runtime may tell of an error
 * in a run that then succeeds, because it is tried again once what lies idle was given back.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT for a level that is none.
 */
bevel_status bevel_set_log(bevel_log_callback callback,
                           void *user,
                           int32_t level);

/**
 * Makes a struct of this header ready: all zero, and its first field its size. The macro BEVEL_INIT calls
 * it with the right size.
 *
 * Errors: BEVEL_BAD_INPUT for null and for a size that no struct here has.
 */
bevel_status bevel_init(void *any_struct,
                        size_t struct_size);

/**
 * Opens a model: a bundle directory, the same packed into one file by tar, or with a recipe a plain
 * model. `options` may be null. `*model` is null where it fails.
 *
 * Owned by the caller: close it with bevel_model_close. Thread-safe; starts ONNX Runtime with defaults
 * where bevel_start was not called, and then its note about setenv holds here. Errors: BEVEL_BAD_MODEL
 * when the model is missing or cannot be used, BEVEL_NO_DEVICE without ONNX Runtime or the device,
 * BEVEL_NO_MEMORY beyond the memory cap, BEVEL_UNSUPPORTED for a task or option that is not served,
 * BEVEL_BAD_INPUT for options out of range.
 */
bevel_status bevel_model_open(const char *path,
                              const struct bevel_model_options *options,
                              struct bevel_model **model);

/**
 * The same for a bundle packed by tar, without compression, that is in memory. What is needed is copied:
 * `data` may go when this returns.
 */
bevel_status bevel_model_open_memory(const void *data,
                                     size_t size_bytes,
                                     const struct bevel_model_options *options,
                                     struct bevel_model **model);

/**
 * Closes a model. Calls that run on it or wait for it in other threads end with BEVEL_CANCELLED, and its
 * memory is free when the last of them has; under a memory cap it is free for other models and given back to
 * the system when they need another piece. Answers that it gave stay. Null is nothing to close.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open model.
 */
bevel_status bevel_model_close(struct bevel_model *model);

/**
 * Tells what a model takes and answers.
 *
 * Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_model_get_info(const struct bevel_model *model, struct bevel_model_info *info);

/**
 * Everything that a model says of itself, as a JSON object: its name, task, family, variants, licence,
 * how inputs are prepared and answers made, its labels, inputs and outputs of its graph, the device that
 * answers, and why not the one that was listed first, "refused". See the rules of buffers.
 *
 * Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_model_json(const struct bevel_model *model,
                              char *buffer,
                              size_t capacity,
                              size_t *needed);

/**
 * The name of label `index`. See the rules of buffers.
 *
 * Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_model_label(const struct bevel_model *model,
                               size_t index,
                               char *buffer,
                               size_t capacity,
                               size_t *needed);

/**
 * Tells what input `index` of a model's graph is; its output `index` where `output` is 1.
 *
 * Thread-safe, and waits for no call that runs. Errors: BEVEL_BAD_INPUT, BEVEL_UNSUPPORTED for a name or
 * a shape that the struct cannot hold.
 */
bevel_status bevel_model_tensor(const struct bevel_model *model,
                                int32_t output,
                                size_t index,
                                struct bevel_tensor_info *info);

/**
 * Asks a model `count` things at once, at most 65536, and answers all of them, in order; for text that is
 * faster than one at a time. Where one of them fails, all do. `*answer` is null then.
 *
 * The answer is owned by the caller: close it with bevel_answer_close. Thread-safe: a model serves one
 * call at a time, others wait; different models run at once. Errors: BEVEL_BAD_INPUT for an input of
 * another kind or that cannot be used, BEVEL_BAD_MODEL when ONNX Runtime fails on it, BEVEL_NO_MEMORY
 * beyond the memory cap, BEVEL_CANCELLED when bevel_cancel was called meanwhile or the model closed,
 * BEVEL_INTERNAL for a defect: where that was a panic, the model answers no more and is to be closed.
 */
bevel_status bevel_run(struct bevel_model *model,
                       const struct bevel_input *inputs,
                       size_t count,
                       struct bevel_answer **answer);

/**
 * Stops the call that runs on a model, and those that wait for it: they end with BEVEL_CANCELLED, soon
 * but not at once, for an operator of the graph is run to its end. Calls that begin after this returns are
 * served as ever. Nothing happens where no call is under way.
 *
 * Thread-safe, and waits for nothing; not to be called from a signal handler. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_cancel(struct bevel_model *model);

/**
 * Closes an answer. Null is nothing to close.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open answer.
 */
bevel_status bevel_answer_close(struct bevel_answer *answer);

/**
 * How many items an answer has: one for each input, in their order.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_answer_count(const struct bevel_answer *answer, size_t *count);

/**
 * Where the time of the call went.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_answer_timing(const struct bevel_answer *answer, struct bevel_timing *timing);

/**
 * Everything that was answered for an input, as the JSON object of its task that the documentation
 * describes. See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_json(const struct bevel_answer *answer,
                               size_t item,
                               char *buffer,
                               size_t capacity,
                               size_t *needed);

/**
 * The vector for an input, task embed. See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_embedding(const struct bevel_answer *answer,
                                    size_t item,
                                    float *buffer,
                                    size_t capacity,
                                    size_t *needed);

/**
 * The text for an input: what was said (transcribe), what follows (generate) or the answer (answer). See
 * the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_text(const struct bevel_answer *answer,
                               size_t item,
                               char *buffer,
                               size_t capacity,
                               size_t *needed);

/**
 * Tells what output `index` for an input is, task tensors; `*info` is made ready by BEVEL_INIT. Outputs
 * are in the order of their names.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, also for an index behind the last; BEVEL_UNSUPPORTED for a name or
 * a shape that the struct cannot hold.
 */
bevel_status bevel_answer_tensor(const struct bevel_answer *answer,
                                 size_t item,
                                 size_t index,
                                 struct bevel_tensor_info *info);

/**
 * The values of output `index` for an input, task tensors, in row-major order. `capacity` and `needed`
 * are bytes. See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_tensor_data(const struct bevel_answer *answer,
                                      size_t item,
                                      size_t index,
                                      void *buffer,
                                      size_t capacity,
                                      size_t *needed);

/**
 * The parts of the answer for an input, best first: labels (classify), boxes (detect, segment, pose, obb),
 * classes of pixels (segment), and in their order entities (tag), the answer (answer) and segments
 * (transcribe). See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, also where the task has no parts; BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_parts(const struct bevel_answer *answer,
                                size_t item,
                                struct bevel_part *buffer,
                                size_t capacity,
                                size_t *needed);

/**
 * The name of the label of a part: of a label, a box, a class of pixels or an entity. See the rules of
 * buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_part_label(const struct bevel_answer *answer,
                                     size_t item,
                                     size_t part,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *needed);

/**
 * The text of a part: of an entity, an answer or a segment. See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_part_text(const struct bevel_answer *answer,
                                    size_t item,
                                    size_t part,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *needed);

/**
 * The points of a box, three floats each: x and y in pixels of the picture, and a score in 0 to 1. Its
 * keypoints (pose), or its four corners in turn with the score of the box (obb). See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_part_points(const struct bevel_answer *answer,
                                      size_t item,
                                      size_t part,
                                      float *buffer,
                                      size_t capacity,
                                      size_t *needed);

/**
 * The mask of a box or of a class of pixels: a byte for each pixel of the picture, row by row, 255 where
 * the mask is and 0 elsewhere. bevel_answer_picture tells width and height. See the rules of buffers.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_answer_part_mask(const struct bevel_answer *answer,
                                    size_t item,
                                    size_t part,
                                    uint8_t *buffer,
                                    size_t capacity,
                                    size_t *needed);

/**
 * Width and height in pixels of the picture that an answer is about, for tasks that find boxes or masks.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_answer_picture(const struct bevel_answer *answer,
                                  size_t item,
                                  uint32_t *width,
                                  uint32_t *height);

/**
 * Opens a speech model to hear sound as it comes. See bevel_model_open for the path and what of it
 * concerns errors and threads; `options` and `stream_options` may be null. A thread of the library hears
 * what is pushed, and sleeps when there is nothing. `*stream` is null where it fails.
 *
 * Owned by the caller: close it with bevel_stream_close. Thread-safe.
 */
bevel_status bevel_stream_open(const char *path,
                               const struct bevel_model_options *options,
                               const struct bevel_stream_options *stream_options,
                               struct bevel_stream **stream);

/**
 * The same for a packed bundle in memory, see bevel_model_open_memory.
 */
bevel_status bevel_stream_open_memory(const void *data,
                                      size_t size_bytes,
                                      const struct bevel_model_options *options,
                                      const struct bevel_stream_options *stream_options,
                                      struct bevel_stream **stream);

/**
 * Closes a stream; what was not polled is lost. The model is stopped, whoever polls is told
 * BEVEL_CANCELLED, and memory is free when the last call on it has ended. Null is nothing to close.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT for what is no open stream.
 */
bevel_status bevel_stream_close(struct bevel_stream *stream);

/**
 * Pushes samples, one channel in -1 to 1, and tells in `*taken`, which may be null, how many were taken.
 *
 * It waits for no model and allocates nothing, so that it may be called where sound is recorded. All
 * samples are taken unless the buffer is full because the model is too slow for the machine. Then the rest
 * is lost, as is what comes until a quarter of the buffer is free again, and an event tells where. Who can
 * wait, such as a reader of files, asks for bevel_stream_room first.
 *
 * One thread pushes, others may poll and give orders meanwhile. Errors: BEVEL_BAD_INPUT; BEVEL_BUSY
 * where another thread pushes at this moment, and nothing is taken then. Samples that are no numbers or
 * far beyond 1 are told by an event.
 */
bevel_status bevel_stream_push(struct bevel_stream *stream,
                               const float *samples,
                               size_t count,
                               size_t *taken);

/**
 * How many samples bevel_stream_push would take now.
 *
 * For the thread that pushes. Errors: as bevel_stream_push.
 */
bevel_status bevel_stream_room(struct bevel_stream *stream, size_t *room);

/**
 * The next event, for which it waits at most `timeout_ms`, asleep: 0 does not wait, UINT32_MAX waits for
 * ever. Its kind is BEVEL_EVENT_NONE where nothing has happened. `*event` is made ready by BEVEL_INIT.
 *
 * One thread polls, others may push and give orders meanwhile. Errors: BEVEL_BAD_INPUT; BEVEL_CANCELLED
 * where the stream is closed meanwhile; BEVEL_INTERNAL where a defect has ended it, at once and for ever.
 */
bevel_status bevel_stream_poll(struct bevel_stream *stream,
                               uint32_t timeout_ms,
                               struct bevel_event *event);

/**
 * The text of the event that was polled last; empty where it has none. See the rules of buffers.
 *
 * For the thread that polls. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_stream_event_text(const struct bevel_stream *stream,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *needed);

/**
 * The event that was polled last as a JSON object, with the words of a final text where they were asked
 * for; "null" where nothing has happened. See the rules of buffers.
 *
 * For the thread that polls. Errors: BEVEL_BAD_INPUT, BEVEL_BUFFER_TOO_SMALL.
 */
bevel_status bevel_stream_event_json(const struct bevel_stream *stream,
                                     char *buffer,
                                     size_t capacity,
                                     size_t *needed);

/**
 * Ends speech that is going on in what was pushed so far, as a pause would. Its text is an event.
 *
 * Thread-safe, and waits for nothing. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_stream_flush(struct bevel_stream *stream);

/**
 * Ends the stream: what was pushed so far is written down, and BEVEL_EVENT_ENDED is its last event. What
 * is pushed from then on is another stream, whose times begin at 0.
 *
 * Thread-safe, and waits for nothing. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_stream_finish(struct bevel_stream *stream);

/**
 * Forgets what was pushed and not polled; what is pushed then is another stream. Waits for the model where
 * it is at work.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_stream_reset(struct bevel_stream *stream);

/**
 * How loud it is, in dB of full scale: -100 (silence) to 0.
 *
 * Thread-safe. Errors: BEVEL_BAD_INPUT.
 */
bevel_status bevel_stream_level(const struct bevel_stream *stream, float *level_db);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BEVEL_H */
