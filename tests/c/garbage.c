/*
 * Null, garbage, closed and wrong handles, wrong structs, huge sizes, numbers that are none and text that
 * is no UTF-8, for every function of bevel.h. Each has to give a status and a line.
 *
 *   garbage TENSORS TEXT PICTURE SPEECH SPEECH_RECIPE
 *
 * The first three are bundles: of a graph from `observation` 1x4, of a classifier of texts, and of a
 * detector. Prints nothing where all is well.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

/* A handle that never was one: an address of the caller's, and others that nobody has. */
static char own[64];
#define GARBAGE(type, n) ((type *)(n == 0 ? (void *)own : n == 1 ? (void *)8 : (void *)~(uintptr_t)7))

static void handles(void) {
    char text[64];
    float floats[4];
    unsigned char bytes[4];
    bevel_part parts[1];
    bevel_tensor_info tensor;
    bevel_model_info info;
    bevel_event event;
    bevel_timing timing;
    bevel_input input;
    bevel_answer *made;
    uint32_t side;
    size_t n;
    int i;
    EXPECT(BEVEL_OK, BEVEL_INIT(tensor));
    EXPECT(BEVEL_OK, BEVEL_INIT(info));
    EXPECT(BEVEL_OK, BEVEL_INIT(event));
    EXPECT(BEVEL_OK, BEVEL_INIT(input));
    for (i = -1; i < 3; i++) {
        bevel_model *model = i < 0 ? NULL : GARBAGE(bevel_model, i);
        bevel_answer *answer = i < 0 ? NULL : GARBAGE(bevel_answer, i);
        bevel_stream *stream = i < 0 ? NULL : GARBAGE(bevel_stream, i);
        const bevel_status close = i < 0 ? BEVEL_OK : BEVEL_BAD_INPUT;
        EXPECT(BEVEL_BAD_INPUT, bevel_model_get_info(model, &info));
        EXPECT(BEVEL_BAD_INPUT, bevel_model_json(model, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_model_label(model, 0, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_model_tensor(model, 0, 0, &tensor));
        EXPECT(BEVEL_BAD_INPUT, bevel_run(model, &input, 1, &made));
        TRUE(made == NULL);
        EXPECT(BEVEL_BAD_INPUT, bevel_cancel(model));
        EXPECT(close, bevel_model_close(model));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_count(answer, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_timing(answer, &timing));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_json(answer, 0, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_embedding(answer, 0, floats, 4, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_text(answer, 0, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_tensor(answer, 0, 0, &tensor));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_tensor_data(answer, 0, 0, floats, 4, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_parts(answer, 0, parts, 1, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_label(answer, 0, 0, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_text(answer, 0, 0, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_points(answer, 0, 0, floats, 4, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_mask(answer, 0, 0, bytes, 4, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_answer_picture(answer, 0, &side, &side));
        EXPECT(close, bevel_answer_close(answer));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_push(stream, floats, 0, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_room(stream, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_poll(stream, 0, &event));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_event_text(stream, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_event_json(stream, text, sizeof text, &n));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_flush(stream));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_finish(stream));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_reset(stream));
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_level(stream, floats));
        EXPECT(close, bevel_stream_close(stream));
    }
    TRUE(strstr(bevel_last_error(), "stream") != NULL);
}

static void structs(const char *bundle) {
    bevel_model_options options;
    bevel_runtime_options runtime;
    bevel_stream_options live;
    bevel_model *model;
    bevel_stream *stream;
    union {
        bevel_model_options known;
        unsigned char bytes[sizeof(bevel_model_options) + 16];
    } newer;
    size_t sizes[] = {0, 1, 8, sizeof options - 8, sizeof options + 1, 1 << 20, SIZE_MAX};
    size_t i;

    EXPECT(BEVEL_BAD_INPUT, bevel_init(NULL, 16));
    EXPECT(BEVEL_BAD_INPUT, bevel_init(&options, 0));
    EXPECT(BEVEL_BAD_INPUT, bevel_init(&options, SIZE_MAX));
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        EXPECT(BEVEL_OK, BEVEL_INIT(options));
        options.struct_size = sizes[i];
        model = (bevel_model *)own;
        EXPECT(BEVEL_BAD_INPUT, bevel_model_open(bundle, &options, &model));
        TRUE(model == NULL);
        TRUE(strstr(bevel_last_error(), "struct_size") != NULL);
    }
    /* One of a newer caller: what is behind ours is understood where it asks for nothing. */
    EXPECT(BEVEL_OK, BEVEL_INIT(newer));
    EXPECT(BEVEL_OK, bevel_model_open(bundle, &newer.known, &model));
    EXPECT(BEVEL_OK, bevel_model_close(model));
    newer.bytes[sizeof newer - 1] = 1;
    EXPECT(BEVEL_UNSUPPORTED, bevel_model_open(bundle, &newer.known, &model));

#define REFUSED(field, value)                                                                    \
    do {                                                                                         \
        EXPECT(BEVEL_OK, BEVEL_INIT(options));                                                   \
        options.field = value;                                                                   \
        EXPECT(BEVEL_BAD_INPUT, bevel_model_open(bundle, &options, &model));                     \
    } while (0)
    REFUSED(min_score, (float)NAN);
    REFUSED(min_score, -1.0f);
    REFUSED(iou, (float)INFINITY);
    REFUSED(iou, 2.0f);
    REFUSED(top_k, UINT32_MAX);
    REFUSED(max_boxes, UINT32_MAX);
    REFUSED(max_tokens, UINT32_MAX);
    REFUSED(batch, UINT32_MAX);
    REFUSED(beams, UINT32_MAX);
    REFUSED(timestamps, 3);
    REFUSED(timestamps, -1);
    REFUSED(translate, 2);
    REFUSED(full_window, -7);
    REFUSED(hot_word_count, 1);
    REFUSED(hot_word_count, SIZE_MAX);
    REFUSED(device, "toaster");
    REFUSED(device, "\xff\xfe");
    REFUSED(language, "\xc3(");
    EXPECT(BEVEL_OK, BEVEL_INIT(options));
    options.variant = "none such";
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open(bundle, &options, &model));
    EXPECT(BEVEL_OK, BEVEL_INIT(options));
    options.recipe = "no such recipe";
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open(bundle, &options, &model));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_open_memory(own, sizeof own, &options, &model));

    EXPECT(BEVEL_BAD_INPUT, bevel_model_open(bundle, NULL, NULL));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_open(NULL, NULL, &model));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_open("", NULL, &model));
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open("no such bundle", NULL, &model));
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open("\xff\xfe", NULL, &model));
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open(".", NULL, &model));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_open_memory(NULL, 10, NULL, &model));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_open_memory(own, SIZE_MAX, NULL, &model));
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open_memory(own, sizeof own, NULL, &model));
    EXPECT(BEVEL_BAD_MODEL, bevel_model_open_memory(own, 0, NULL, &model));
    TRUE(model == NULL);

    EXPECT(BEVEL_OK, BEVEL_INIT(live));
    live.struct_size = 4;
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_open(bundle, NULL, &live, &stream));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_open(NULL, NULL, NULL, &stream));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_open(bundle, NULL, NULL, NULL));
    /* A model, but not one that hears. */
    EXPECT(BEVEL_BAD_MODEL, bevel_stream_open(bundle, NULL, NULL, &stream));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_open_memory(NULL, 1, NULL, NULL, &stream));
    EXPECT(BEVEL_BAD_MODEL, bevel_stream_open_memory(own, sizeof own, NULL, NULL, &stream));
    TRUE(stream == NULL);

    /* It runs by now, with defaults. */
    EXPECT(BEVEL_OK, bevel_start(NULL));
#define NO_START(field, value)                                                                   \
    do {                                                                                         \
        EXPECT(BEVEL_OK, BEVEL_INIT(runtime));                                                   \
        runtime.field = value;                                                                   \
        EXPECT(BEVEL_BAD_INPUT, bevel_start(&runtime));                                          \
    } while (0)
    NO_START(struct_size, 3);
    NO_START(threads, UINT32_MAX);
    NO_START(threads, 63);
    NO_START(pool, 2);
    NO_START(nice, -1);
    NO_START(nice, 1000);
    NO_START(core_count, 1);
    NO_START(core_count, SIZE_MAX);
    NO_START(memory_cap_bytes, 1 << 30);
    TRUE(strstr(bevel_last_error(), "bevel_start") != NULL);
    EXPECT(BEVEL_OK, bevel_set_log(NULL, NULL, 99));
}

static void inputs(const char *tensors, const char *text, const char *picture) {
    bevel_model *models[3] = {NULL, NULL, NULL};
    bevel_answer *answer;
    bevel_input input, two[2], *exact;
    bevel_tensor tensor, twice[2];
    size_t shape[2] = {1, 4}, huge[2] = {SIZE_MAX, SIZE_MAX}, i;
    float values[4] = {0.0f, 1.0f, 2.0f, 3.0f};
    EXPECT(BEVEL_OK, bevel_model_open(tensors, NULL, &models[0]));
    EXPECT(BEVEL_OK, bevel_model_open(text, NULL, &models[1]));
    EXPECT(BEVEL_OK, bevel_model_open(picture, NULL, &models[2]));

#define ASK(what, model)                                                                         \
    do {                                                                                         \
        answer = (bevel_answer *)own;                                                            \
        EXPECT(what, bevel_run(models[model], &input, 1, &answer));                              \
        TRUE(((what) == BEVEL_OK) == (answer != NULL));                                          \
        EXPECT(BEVEL_OK, bevel_answer_close(answer));                                            \
    } while (0)
    for (i = 0; i < 3; i++) {
        int kind;
        /* Nothing is asked, and nothing answered. */
        EXPECT(BEVEL_OK, bevel_run(models[i], NULL, 0, &answer));
        EXPECT(BEVEL_OK, bevel_answer_close(answer));
        EXPECT(BEVEL_BAD_INPUT, bevel_run(models[i], NULL, 1, &answer));
        EXPECT(BEVEL_BAD_INPUT, bevel_run(models[i], &input, 1, NULL));
        /* Of each kind one with nothing in it. */
        for (kind = -1; kind < 12; kind++) {
            EXPECT(BEVEL_OK, BEVEL_INIT(input));
            input.kind = kind;
            ASK(BEVEL_BAD_INPUT, i);
            input.kind = INT32_MAX - (kind + 1);
            ASK(BEVEL_BAD_INPUT, i);
        }
        EXPECT(BEVEL_OK, BEVEL_INIT(input));
        EXPECT(BEVEL_BAD_INPUT, bevel_run(models[i], &input, SIZE_MAX, &answer));
        EXPECT(BEVEL_BAD_INPUT, bevel_run(models[i], &input, 1 << 20, &answer));
        input.struct_size = 1;
        ASK(BEVEL_BAD_INPUT, i);
    }
    EXPECT(BEVEL_OK, BEVEL_INIT(two[0]));
    two[0].kind = BEVEL_INPUT_TEXT;
    two[0].text = "yes";
    two[1] = two[0];
    EXPECT(BEVEL_OK, bevel_run(models[1], two, 2, &answer));
    EXPECT(BEVEL_OK, bevel_answer_close(answer));
    two[1].struct_size += 8;
    EXPECT(BEVEL_BAD_INPUT, bevel_run(models[1], two, 2, &answer));
    /* Nothing behind the array is read, as valgrind sees. */
    exact = malloc(sizeof two);
    TRUE(exact != NULL);
    two[1].struct_size = 4096;
    memcpy(exact, two, sizeof two);
    EXPECT(BEVEL_BAD_INPUT, bevel_run(models[1], exact, 2, &answer));
    free(exact);

    EXPECT(BEVEL_OK, BEVEL_INIT(input));
    input.kind = BEVEL_INPUT_TEXT;
    input.text = "\xff not UTF-8";
    ASK(BEVEL_BAD_INPUT, 1);
    input.text = "a text where a picture is taken";
    ASK(BEVEL_BAD_INPUT, 2);
    input.kind = BEVEL_INPUT_FILE;
    input.text = "no such file";
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);
    input.text = "\xff\xfe";
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);
    input.text = "/";
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);
    input.kind = BEVEL_INPUT_BYTES;
    input.data = own;
    input.count = sizeof own;
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);
    input.count = SIZE_MAX;
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);
    input.kind = BEVEL_INPUT_SOUND;
    for (i = 0; i < 3; i++) ASK(BEVEL_BAD_INPUT, i);

    EXPECT(BEVEL_OK, BEVEL_INIT(input));
    input.kind = BEVEL_INPUT_PIXELS;
    input.data = own;
    input.width = 3;
    input.height = 2;
    ASK(BEVEL_OK, 2);
    input.pixel_format = 5;
    ASK(BEVEL_BAD_INPUT, 2);
    input.pixel_format = BEVEL_PIXELS_RGBA;
    input.stride_bytes = 11;
    ASK(BEVEL_BAD_INPUT, 2);
    input.stride_bytes = SIZE_MAX;
    ASK(BEVEL_BAD_INPUT, 2);
    input.stride_bytes = 16;
    ASK(BEVEL_OK, 2);
    input.width = input.height = UINT32_MAX;
    input.stride_bytes = 0;
    ASK(BEVEL_BAD_INPUT, 2);
    input.width = 0;
    ASK(BEVEL_BAD_INPUT, 2);

    EXPECT(BEVEL_OK, BEVEL_INIT(input));
    memset(&tensor, 0, sizeof tensor);
    input.kind = BEVEL_INPUT_TENSORS;
    input.tensors = &tensor;
    input.count = 1;
    tensor.dtype = BEVEL_F32;
    tensor.rank = 2;
    tensor.shape = shape;
    tensor.data = values;
    tensor.size_bytes = sizeof values;
    ASK(BEVEL_OK, 0);
    values[0] = (float)NAN;
    ASK(BEVEL_OK, 0);
    tensor.data = (char *)own + 1;
    ASK(BEVEL_OK, 0);
    tensor.data = values;
#define TENSOR(field, value, good)                                                               \
    do {                                                                                         \
        tensor.field = value;                                                                    \
        ASK(BEVEL_BAD_INPUT, 0);                                                                 \
        tensor.field = good;                                                                     \
    } while (0)
    TENSOR(name, "nobody", NULL);
    TENSOR(name, "\xff", NULL);
    TENSOR(dtype, 0, BEVEL_F32);
    TENSOR(dtype, 99, BEVEL_F32);
    TENSOR(dtype, -1, BEVEL_F32);
    TENSOR(dtype, BEVEL_I64, BEVEL_F32);
    TENSOR(dtype, BEVEL_BOOL, BEVEL_F32);
    TENSOR(rank, 9, 2);
    TENSOR(rank, UINT32_MAX, 2);
    TENSOR(shape, NULL, shape);
    TENSOR(shape, huge, shape);
    TENSOR(data, NULL, values);
    TENSOR(size_bytes, 15, 16);
    TENSOR(size_bytes, SIZE_MAX, 16);
    twice[0] = twice[1] = tensor;
    input.tensors = twice;
    input.count = 2;
    ASK(BEVEL_BAD_INPUT, 0);
    input.count = SIZE_MAX;
    ASK(BEVEL_BAD_INPUT, 0);
    for (i = 0; i < 3; i++) EXPECT(BEVEL_OK, bevel_model_close(models[i]));
}

static void answers(const char *bundle) {
    bevel_model *model = NULL, *other;
    bevel_model_options options;
    bevel_answer *answer = NULL, *closed;
    bevel_model_info info;
    bevel_tensor_info tensor;
    bevel_input input;
    bevel_part part;
    bevel_timing timing;
    char text[4096], small[2] = {'x', 'x'};
    float floats[4];
    unsigned char bytes[4];
    uint32_t side;
    size_t n = 0;
    EXPECT(BEVEL_OK, bevel_model_open(bundle, NULL, &model));
    EXPECT(BEVEL_OK, BEVEL_INIT(info));
    EXPECT(BEVEL_OK, bevel_model_get_info(model, &info));
    TRUE(info.task == BEVEL_CLASSIFY && info.label_count > 0 && info.tensor_inputs > 0);
    EXPECT(BEVEL_BAD_INPUT, bevel_model_get_info(model, NULL));
    info.struct_size = 3;
    EXPECT(BEVEL_BAD_INPUT, bevel_model_get_info(model, &info));
    EXPECT(BEVEL_OK, bevel_model_label(model, 0, text, sizeof text, NULL));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_label(model, SIZE_MAX, text, sizeof text, NULL));
    EXPECT(BEVEL_OK, bevel_model_json(model, NULL, 0, &n));
    TRUE(n > 10);
    /* Where another device stands in, it says so. */
    EXPECT(BEVEL_OK, BEVEL_INIT(options));
    options.device = "acl,cpu";
    EXPECT(BEVEL_OK, bevel_model_open(bundle, &options, &other));
    EXPECT(BEVEL_OK, bevel_model_json(other, text, sizeof text, NULL));
    TRUE(strstr(text, "\"device\":\"cpu\"") != NULL && strstr(text, "ACL") != NULL);
    EXPECT(BEVEL_OK, bevel_model_close(other));
    options.device = "acl";
    EXPECT(BEVEL_NO_DEVICE, bevel_model_open(bundle, &options, &other));
    EXPECT(BEVEL_OK, BEVEL_INIT(tensor));
    EXPECT(BEVEL_OK, bevel_model_tensor(model, 1, 0, &tensor));
    TRUE(tensor.dtype == BEVEL_F32 && strcmp(tensor.name, "logits") == 0);
    EXPECT(BEVEL_BAD_INPUT, bevel_model_tensor(model, 2, 0, &tensor));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_tensor(model, 0, 99, &tensor));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_tensor(model, 0, 0, NULL));

    EXPECT(BEVEL_OK, BEVEL_INIT(input));
    input.kind = BEVEL_INPUT_TEXT;
    input.text = "The kettle is on.";
    EXPECT(BEVEL_OK, bevel_run(model, &input, 1, &answer));
    /* An answer outlives its model. */
    EXPECT(BEVEL_OK, bevel_model_close(model));
    EXPECT(BEVEL_BAD_INPUT, bevel_model_close(model));
    EXPECT(BEVEL_BAD_INPUT, bevel_run(model, &input, 1, &closed));
    EXPECT(BEVEL_BAD_INPUT, bevel_cancel(model));
    /* One of another kind. */
    EXPECT(BEVEL_BAD_INPUT, bevel_model_close((bevel_model *)(void *)answer));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_close((bevel_stream *)(void *)answer));

    EXPECT(BEVEL_OK, bevel_answer_count(answer, &n));
    TRUE(n == 1);
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_count(answer, NULL));
    EXPECT(BEVEL_OK, bevel_answer_timing(answer, &timing));
    TRUE(timing.run_ms > 0.0);
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_timing(answer, NULL));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_json(answer, 1, text, sizeof text, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_json(answer, SIZE_MAX, text, sizeof text, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_json(answer, 0, NULL, 0, NULL));
    EXPECT(BEVEL_OK, bevel_answer_json(answer, 0, NULL, SIZE_MAX, &n));
    EXPECT(BEVEL_BUFFER_TOO_SMALL, bevel_answer_json(answer, 0, small, 2, &n));
    EXPECT(BEVEL_BUFFER_TOO_SMALL, bevel_answer_json(answer, 0, small, 0, NULL));
    TRUE(small[0] == 'x' && small[1] == 'x' && n > 2);
    EXPECT(BEVEL_BUFFER_TOO_SMALL, bevel_answer_json(answer, 0, text, n - 1, &n));
    EXPECT(BEVEL_OK, bevel_answer_json(answer, 0, text, n, NULL));
    TRUE(strlen(text) + 1 == n);
    EXPECT(BEVEL_OK, bevel_answer_parts(answer, 0, NULL, 0, &n));
    EXPECT(BEVEL_BUFFER_TOO_SMALL, bevel_answer_parts(answer, 0, &part, 0, &n));
    EXPECT(BEVEL_OK, bevel_answer_part_label(answer, 0, 0, text, sizeof text, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_label(answer, 0, 1 << 30, text, sizeof text, &n));
    /* What this task has not. */
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_embedding(answer, 0, floats, 4, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_text(answer, 0, text, sizeof text, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_tensor(answer, 0, 0, &tensor));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_tensor_data(answer, 0, 0, floats, 4, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_text(answer, 0, 0, text, sizeof text, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_points(answer, 0, 0, floats, 4, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_part_mask(answer, 0, 0, bytes, 4, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_picture(answer, 0, &side, &side));
    closed = answer;
    EXPECT(BEVEL_OK, bevel_answer_close(answer));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_close(closed));
    EXPECT(BEVEL_BAD_INPUT, bevel_answer_json(closed, 0, text, sizeof text, &n));
}

static void streams(const char *model, const char *recipe) {
    bevel_model_options options;
    bevel_stream_options live;
    bevel_stream *stream;
    bevel_event event;
    char text[256];
    float samples[1600] = {0.0f}, level;
    size_t n, i;
    EXPECT(BEVEL_OK, BEVEL_INIT(options));
    options.recipe = recipe;
#define LIVE(field, value)                                                                       \
    do {                                                                                         \
        EXPECT(BEVEL_OK, BEVEL_INIT(live));                                                      \
        live.field = value;                                                                      \
        EXPECT(BEVEL_BAD_INPUT, bevel_stream_open(model, &options, &live, &stream));             \
        TRUE(stream == NULL);                                                                    \
    } while (0)
    LIVE(sample_rate_hz, 1);
    LIVE(sample_rate_hz, UINT32_MAX);
    LIVE(threshold, (float)NAN);
    LIVE(threshold, 1.5f);
    LIVE(min_silence_ms, 1);
    LIVE(min_silence_ms, UINT32_MAX);
    LIVE(buffer_ms, 1);
    LIVE(buffer_ms, UINT32_MAX);
    LIVE(no_partials, 2);
    EXPECT(BEVEL_OK, bevel_stream_open(model, &options, NULL, &stream));
    EXPECT(BEVEL_OK, BEVEL_INIT(event));
    EXPECT(BEVEL_OK, bevel_stream_poll(stream, 0, &event));
    TRUE(event.kind == BEVEL_EVENT_NONE);
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_poll(stream, 0, NULL));
    event.struct_size = 0;
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_poll(stream, UINT32_MAX, &event));
    EXPECT(BEVEL_OK, bevel_stream_event_text(stream, text, sizeof text, &n));
    TRUE(n == 1 && text[0] == '\0');
    EXPECT(BEVEL_OK, bevel_stream_event_json(stream, text, sizeof text, &n));
    TRUE(strcmp(text, "null") == 0);
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_event_json(stream, NULL, 0, NULL));
    EXPECT(BEVEL_OK, bevel_stream_push(stream, NULL, 0, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_push(stream, NULL, 1, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_push(stream, samples, SIZE_MAX, &n));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_push(stream, (float *)(void *)(own + 1), 1, &n));
    EXPECT(BEVEL_OK, bevel_stream_push(stream, samples, 1600, NULL));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_room(stream, NULL));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_level(stream, NULL));
    EXPECT(BEVEL_OK, bevel_stream_level(stream, &level));
    /* No sound is no harm: it is told and the stream goes on. */
    for (i = 0; i < 1600; i++) samples[i] = (float)(i % 2 ? NAN : INFINITY);
    EXPECT(BEVEL_OK, bevel_stream_push(stream, samples, 1600, &n));
    TRUE(n == 1600);
    EXPECT(BEVEL_OK, bevel_stream_flush(stream));
    EXPECT(BEVEL_OK, bevel_stream_finish(stream));
    EXPECT(BEVEL_OK, BEVEL_INIT(event));
    EXPECT(BEVEL_OK, bevel_stream_poll(stream, UINT32_MAX, &event));
    TRUE(event.kind == BEVEL_EVENT_ERROR && event.status == BEVEL_BAD_INPUT);
    EXPECT(BEVEL_OK, bevel_stream_event_text(stream, text, sizeof text, &n));
    TRUE(n == event.text_bytes + 1 && strlen(text) == event.text_bytes);
    EXPECT(BEVEL_OK, bevel_stream_poll(stream, UINT32_MAX, &event));
    TRUE(event.kind == BEVEL_EVENT_ENDED);
    EXPECT(BEVEL_OK, bevel_stream_reset(stream));
    EXPECT(BEVEL_OK, bevel_stream_close(stream));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_poll(stream, UINT32_MAX, &event));
    EXPECT(BEVEL_BAD_INPUT, bevel_stream_close(stream));
}

static void hear(void *user, int32_t level, const char *message) {
    (void)level;
    (void)message;
    ++*(int *)user;
}

int main(int argc, char **argv) {
    int heard = 0;
    if (argc != 6) return BEVEL_BAD_INPUT;
    TRUE(bevel_abi_version() == BEVEL_ABI_VERSION);
    TRUE(strlen(bevel_version()) > 0);
    TRUE(bevel_last_error()[0] == '\0');
    TRUE(strcmp(bevel_status_name(-5), "unknown status") == 0);
    EXPECT(BEVEL_OK, bevel_set_log(hear, &heard, BEVEL_LOG_WARNING));
    EXPECT(BEVEL_BAD_INPUT, bevel_set_log(hear, &heard, 0));
    EXPECT(BEVEL_BAD_INPUT, bevel_set_log(hear, &heard, 5));
    handles();
    structs(argv[2]);
    inputs(argv[1], argv[2], argv[3]);
    answers(argv[2]);
    streams(argv[4], argv[5]);
    EXPECT(BEVEL_OK, bevel_set_log(NULL, NULL, 0));
    return failures > 0;
}
