/*
 * Eight threads that open, ask, cancel and close at once.
 *
 *   threads ROUNDS TEXT [SPEECH RECIPE]
 *
 * TEXT is the bundle of a classifier of texts. Prints nothing where all is well.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

#define THREADS 8
#define MANY 4000

static const char *bundle, *speech, *recipe;
static int rounds;
static bevel_model *shared;
static bevel_stream *stream;
static char expected[8192];
static volatile int over;

static bevel_input text(const char *of) {
    bevel_input input;
    BEVEL_INIT(input);
    input.kind = BEVEL_INPUT_TEXT;
    input.text = of;
    return input;
}

/* Asks, and compares what is answered. */
static bevel_status ask(bevel_model *model) {
    const bevel_input input = text("The kettle is on.");
    bevel_answer *answer = NULL;
    char json[8192];
    const bevel_status status = bevel_run(model, &input, 1, &answer);
    if (status == BEVEL_OK) {
        EXPECT(BEVEL_OK, bevel_answer_json(answer, 0, json, sizeof json, NULL));
        TRUE(strcmp(json, expected) == 0);
    }
    TRUE((status == BEVEL_OK) == (answer != NULL));
    EXPECT(BEVEL_OK, bevel_answer_close(answer));
    return status;
}

/* Opens models of its own, and asks those and the shared one. */
static void *work(void *unused) {
    int round;
    (void)unused;
    for (round = 0; round < rounds; round++) {
        bevel_model *own = NULL;
        int again;
        EXPECT(BEVEL_OK, bevel_model_open(bundle, NULL, &own));
        for (again = 0; again < 8; again++) {
            const bevel_status status = ask(shared);
            EXPECT(BEVEL_OK, ask(own));
            TRUE(status == BEVEL_OK || status == BEVEL_CANCELLED);
        }
        EXPECT(BEVEL_OK, bevel_model_close(own));
        EXPECT(BEVEL_BAD_INPUT, bevel_model_open(NULL, NULL, &own));
        /* The message is that of this thread. */
        TRUE(strcmp(bevel_last_error(), "path is null") == 0);
    }
    return NULL;
}

/* Cancels the shared model as often as it can. */
static void *stop(void *unused) {
    (void)unused;
    while (!over) {
        EXPECT(BEVEL_OK, bevel_cancel(shared));
        sched_yield();
    }
    return NULL;
}

/* Asks until the model is closed by another thread. */
static void *until_closed(void *model) {
    bevel_status status;
    do {
        status = ask(model);
    } while (status == BEVEL_OK);
    TRUE(status == BEVEL_CANCELLED || status == BEVEL_BAD_INPUT);
    return NULL;
}

/* A call that takes long. */
static void *many(void *model) {
    bevel_input *inputs = malloc(MANY * sizeof *inputs);
    bevel_answer *answer = NULL;
    int i;
    for (i = 0; i < MANY; i++) inputs[i] = text("The kettle is on, and the tea is not.");
    EXPECT(BEVEL_CANCELLED, bevel_run(model, inputs, MANY, &answer));
    TRUE(answer == NULL);
    free(inputs);
    over = 1;
    return NULL;
}

static void *push(void *unused) {
    static const float silence[1600];
    int i;
    (void)unused;
    for (i = 0; i < 100; i++) {
        size_t taken = 0, room = 0;
        EXPECT(BEVEL_OK, bevel_stream_room(stream, &room));
        if (room >= 1600) EXPECT(BEVEL_OK, bevel_stream_push(stream, silence, 1600, &taken));
        if (i % 10 == 0) EXPECT(BEVEL_OK, bevel_stream_flush(stream));
    }
    EXPECT(BEVEL_OK, bevel_stream_finish(stream));
    return NULL;
}

static void *poll(void *unused) {
    bevel_event event;
    (void)unused;
    EXPECT(BEVEL_OK, BEVEL_INIT(event));
    do {
        EXPECT(BEVEL_OK, bevel_stream_poll(stream, UINT32_MAX, &event));
    } while (event.kind != BEVEL_EVENT_ENDED);
    return NULL;
}

/* Waits for an event that never comes. */
static void *wait_until_closed(void *unused) {
    bevel_event event;
    bevel_status status;
    (void)unused;
    EXPECT(BEVEL_OK, BEVEL_INIT(event));
    status = bevel_stream_poll(stream, UINT32_MAX, &event);
    TRUE(status == BEVEL_CANCELLED || status == BEVEL_BAD_INPUT);
    return NULL;
}

static pthread_t start(void *(*work)(void *), void *with) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, with) != 0) exit(1);
    return thread;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS], other;
    const bevel_input input = text("The kettle is on.");
    bevel_model *model = NULL;
    bevel_answer *answer = NULL;
    int i;
    if (argc < 3) return BEVEL_BAD_INPUT;
    rounds = atoi(argv[1]);
    bundle = argv[2];
    speech = argc > 4 ? argv[3] : NULL;
    recipe = argc > 4 ? argv[4] : NULL;

    EXPECT(BEVEL_OK, bevel_model_open(bundle, NULL, &shared));
    EXPECT(BEVEL_OK, bevel_run(shared, &input, 1, &answer));
    EXPECT(BEVEL_OK, bevel_answer_json(answer, 0, expected, sizeof expected, NULL));
    EXPECT(BEVEL_OK, bevel_answer_close(answer));

    other = start(stop, NULL);
    for (i = 0; i < THREADS - 1; i++) threads[i] = start(work, NULL);
    for (i = 0; i < THREADS - 1; i++) pthread_join(threads[i], NULL);
    over = 1;
    pthread_join(other, NULL);
    /* What was cancelled answers again. */
    EXPECT(BEVEL_OK, ask(shared));

    /* A long call is cancelled, however often; a later one is not. */
    over = 0;
    threads[0] = start(many, shared);
    while (!over) {
        EXPECT(BEVEL_OK, bevel_cancel(shared));
        sched_yield();
    }
    pthread_join(threads[0], NULL);
    EXPECT(BEVEL_OK, ask(shared));

    /* Closed while it is asked. */
    for (i = 0; i < THREADS; i++) threads[i] = start(until_closed, shared);
    EXPECT(BEVEL_OK, ask(shared));
    EXPECT(BEVEL_OK, bevel_model_close(shared));
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    EXPECT(BEVEL_BAD_INPUT, ask(shared));
    EXPECT(BEVEL_OK, bevel_model_open(bundle, NULL, &model));
    EXPECT(BEVEL_OK, ask(model));
    EXPECT(BEVEL_OK, bevel_model_close(model));

    if (speech != NULL) {
        bevel_model_options options;
        EXPECT(BEVEL_OK, BEVEL_INIT(options));
        options.recipe = recipe;
        EXPECT(BEVEL_OK, bevel_stream_open(speech, &options, NULL, &stream));
        threads[0] = start(push, NULL);
        threads[1] = start(poll, NULL);
        pthread_join(threads[0], NULL);
        pthread_join(threads[1], NULL);
        threads[0] = start(wait_until_closed, NULL);
        EXPECT(BEVEL_OK, bevel_stream_close(stream));
        pthread_join(threads[0], NULL);
    }
    return failures > 0;
}
