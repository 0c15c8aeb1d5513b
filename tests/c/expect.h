/* What the programs of this folder that test share: a count of what went wrong. */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>

#include <bevel.h>

static int failures;

#define EXPECT(what, call)                                                                       \
    do {                                                                                         \
        const int32_t found_ = (call);                                                           \
        if (found_ != (what)) {                                                                  \
            failures++;                                                                          \
            fprintf(stderr, "line %d: %s is %s (%s), expected %s\n", __LINE__, #call,            \
                    bevel_status_name(found_), bevel_last_error(), bevel_status_name(what));     \
        }                                                                                        \
    } while (0)

#define TRUE(condition)                                                                          \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            failures++;                                                                          \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);                      \
        }                                                                                        \
    } while (0)

#endif
