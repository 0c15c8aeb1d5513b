/*
 * Runs a model of any task and prints a JSON object for each input.
 *
 *   sample [--recipe FILE] [--memory] [--parts] [--memory-cap MIB] TASK BUNDLE INPUT...
 *
 * TASK is what the bundle is for, as a check, or `listen` to hear a recording as if it were a microphone: a
 * WAV file of 16 kHz, 16 bits and one channel. INPUT is a text, a file where the model takes no text,
 * @FILE where it takes both, and for `answer` a question and a context in turn. --memory reads the bundle,
 * packed by tar, into memory first. --parts adds a line of what the interface tells without JSON. Beyond
 * --memory-cap the program ends with BEVEL_NO_MEMORY.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bevel.h>

static const char *const TASKS[] = {"",         "embed",  "classify", "tag",  "answer",
                                    "fill",     "generate", "detect", "segment", "pose",
                                    "obb",      "transcribe", "tensors"};

/* Ends the program where a call fails: the exit code is the status. */
static void check(bevel_status status) {
    if (status != BEVEL_OK) {
        fprintf(stderr, "%s: %s\n", bevel_status_name(status), bevel_last_error());
        exit(status);
    }
}

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return memory;
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    long length;
    unsigned char *bytes;
    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0) {
        perror(path);
        exit(BEVEL_BAD_INPUT);
    }
    rewind(file);
    bytes = allocate((size_t)length);
    *size = fread(bytes, 1, (size_t)length, file);
    fclose(file);
    return bytes;
}

/* The JSON of an item: its size first, then the text. */
static void print_json(const bevel_answer *answer, size_t item) {
    size_t needed;
    char *json;
    check(bevel_answer_json(answer, item, NULL, 0, &needed));
    json = allocate(needed);
    check(bevel_answer_json(answer, item, json, needed, NULL));
    puts(json);
    free(json);
}

static void print_floats(const char *name, const float *values, size_t count) {
    size_t i;
    printf("{\"%s\":[", name);
    for (i = 0; i < count; i++) {
        printf("%s%.9g", i > 0 ? "," : "", (double)values[i]);
    }
    printf("]}\n");
}

/* What is told of an item without JSON: a vector, or the numbers of its parts. */
static void print_parts(const bevel_answer *answer, size_t item, int task) {
    size_t count, i;
    bevel_part *parts;
    if (task == BEVEL_EMBED) {
        float *vector;
        check(bevel_answer_embedding(answer, item, NULL, 0, &count));
        vector = allocate(count * sizeof *vector);
        check(bevel_answer_embedding(answer, item, vector, count, NULL));
        print_floats("embedding", vector, count);
        free(vector);
        return;
    }
    if (task == BEVEL_TENSORS) {
        bevel_tensor_info info;
        float *values;
        check(BEVEL_INIT(info));
        check(bevel_answer_tensor(answer, item, 0, &info));
        if (info.dtype != BEVEL_F32) return;
        values = allocate(info.size_bytes);
        check(bevel_answer_tensor_data(answer, item, 0, values, info.size_bytes, &count));
        print_floats(info.name, values, count / sizeof *values);
        free(values);
        return;
    }
    if (task == BEVEL_GENERATE) {
        char text[4096];
        check(bevel_answer_text(answer, item, text, sizeof text, &count));
        printf("{\"text_bytes\":%lu}\n", (unsigned long)count - 1);
        return;
    }
    check(bevel_answer_parts(answer, item, NULL, 0, &count));
    parts = allocate(count * sizeof *parts);
    check(bevel_answer_parts(answer, item, parts, count, NULL));
    printf("{\"parts\":[");
    for (i = 0; i < count; i++) {
        const bevel_part *part = &parts[i];
        char label[256] = "";
        size_t points = 0, pixels = 0, bytes;
        if (task != BEVEL_TRANSCRIBE && task != BEVEL_ANSWER) {
            check(bevel_answer_part_label(answer, item, i, label, sizeof label, NULL));
        }
        if (task == BEVEL_POSE || task == BEVEL_OBB) {
            check(bevel_answer_part_points(answer, item, i, NULL, 0, &points));
        }
        if (task == BEVEL_SEGMENT) {
            unsigned char *mask;
            size_t at;
            check(bevel_answer_part_mask(answer, item, i, NULL, 0, &bytes));
            mask = allocate(bytes);
            check(bevel_answer_part_mask(answer, item, i, mask, bytes, NULL));
            for (at = 0; at < bytes; at++) pixels += mask[at] == 255;
            free(mask);
        }
        printf("%s{\"box\":[%.9g,%.9g,%.9g,%.9g],\"score\":%.9g,\"index\":%lu,\"start\":%.17g,"
               "\"end\":%.17g,\"label\":\"%s\",\"points\":%lu,\"pixels\":%lu}",
               i > 0 ? "," : "", (double)part->x1, (double)part->y1, (double)part->x2,
               (double)part->y2, (double)part->score, (unsigned long)part->label, part->start,
               part->end, label, (unsigned long)points, (unsigned long)pixels);
    }
    printf("]}\n");
    free(parts);
}

/* Prints events that are there, or one that comes within the time; 0 when the stream has ended. */
static int print_events(bevel_stream *stream, unsigned timeout_ms) {
    for (;;) {
        bevel_event event;
        size_t needed;
        char *json;
        check(BEVEL_INIT(event));
        check(bevel_stream_poll(stream, timeout_ms, &event));
        if (event.kind == BEVEL_EVENT_NONE) return 1;
        if (event.kind == BEVEL_EVENT_ENDED) return 0;
        if (event.kind != BEVEL_EVENT_FINAL) continue;
        check(bevel_stream_event_json(stream, NULL, 0, &needed));
        json = allocate(needed);
        check(bevel_stream_event_json(stream, json, needed, NULL));
        puts(json);
        free(json);
    }
}

static void hear(const char *bundle, const bevel_model_options *options, const char *path) {
    const size_t header = 44, block = 1600;
    size_t size, count, at;
    unsigned char *wav = read_file(path, &size);
    bevel_stream *stream;
    float *samples;
    if (size < header || memcmp(wav, "RIFF", 4) != 0) {
        fprintf(stderr, "%s: not a WAV file\n", path);
        exit(BEVEL_BAD_INPUT);
    }
    count = (size - header) / 2;
    samples = allocate(count * sizeof *samples);
    for (at = 0; at < count; at++) {
        const unsigned char *pair = wav + header + 2 * at;
        int value = pair[0] | pair[1] << 8;
        samples[at] = (float)(value >= 32768 ? value - 65536 : value) / 32768.0f;
    }
    check(bevel_stream_open(bundle, options, NULL, &stream));
    for (at = 0; at < count; at += block) {
        const size_t length = count - at < block ? count - at : block;
        size_t room, taken;
        /* A file can wait, a microphone cannot. */
        for (;;) {
            check(bevel_stream_room(stream, &room));
            if (room >= length) break;
            print_events(stream, 10);
        }
        check(bevel_stream_push(stream, samples + at, length, &taken));
        print_events(stream, 0);
    }
    check(bevel_stream_finish(stream));
    while (print_events(stream, 1000)) {
    }
    check(bevel_stream_close(stream));
    free(samples);
    free(wav);
}

int main(int argc, char **argv) {
    bevel_runtime_options runtime;
    bevel_model_options options;
    bevel_model_info info;
    bevel_model *model = NULL;
    bevel_answer *answer = NULL;
    bevel_input *inputs;
    const char *task, *bundle;
    int at, memory = 0, parts = 0;
    size_t count = 0, item;
    unsigned char *bytes = NULL;

    check(BEVEL_INIT(runtime));
    check(BEVEL_INIT(options));
    for (at = 1; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--memory") == 0) memory = 1;
        if (strcmp(argv[at], "--parts") == 0) parts = 1;
        if (strcmp(argv[at], "--recipe") == 0 && at + 1 < argc) options.recipe = argv[++at];
        if (strcmp(argv[at], "--memory-cap") == 0 && at + 1 < argc) {
            runtime.memory_cap_bytes = (size_t)atol(argv[++at]) << 20;
        }
    }
    if (argc - at < 3) {
        fprintf(stderr, "usage: sample [OPTION]... TASK BUNDLE INPUT...\n");
        return BEVEL_BAD_INPUT;
    }
    check(bevel_start(&runtime));
    task = argv[at++];
    bundle = argv[at++];
    if (strcmp(task, "listen") == 0) {
        for (; at < argc; at++) hear(bundle, &options, argv[at]);
        return 0;
    }

    if (memory) {
        size_t size;
        bytes = read_file(bundle, &size);
        check(bevel_model_open_memory(bytes, size, &options, &model));
        free(bytes);
    } else {
        check(bevel_model_open(bundle, &options, &model));
    }
    check(BEVEL_INIT(info));
    check(bevel_model_get_info(model, &info));
    if (strcmp(task, TASKS[info.task]) != 0) {
        fprintf(stderr, "a model for %s, not for %s\n", TASKS[info.task], task);
        bevel_model_close(model);
        return BEVEL_BAD_INPUT;
    }

    inputs = allocate((size_t)(argc - at) * sizeof *inputs);
    for (; at < argc; at++) {
        bevel_input *input = &inputs[count++];
        check(BEVEL_INIT(*input));
        input->text = argv[at];
        if (info.input_kinds & 1u << BEVEL_INPUT_QUESTION && at + 1 < argc) {
            input->kind = BEVEL_INPUT_QUESTION;
            input->question = argv[at];
            input->text = argv[++at];
        } else if (info.input_kinds & 1u << BEVEL_INPUT_TEXT && argv[at][0] != '@') {
            input->kind = BEVEL_INPUT_TEXT;
        } else {
            input->kind = BEVEL_INPUT_FILE;
            if (argv[at][0] == '@') input->text = argv[at] + 1;
        }
    }
    check(bevel_run(model, inputs, count, &answer));
    for (item = 0; item < count; item++) {
        print_json(answer, item);
        if (parts) print_parts(answer, item, info.task);
    }
    check(bevel_answer_close(answer));
    check(bevel_model_close(model));
    free(inputs);
    return 0;
}
