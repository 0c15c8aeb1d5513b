/*
 * The same as sample.c in C++: runs a model of any task and prints a JSON object for each input.
 *
 *   sample TASK BUNDLE INPUT...
 *
 * The environment's RECIPE is for plain models.
 */
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include <bevel.hpp>

namespace {

void hear(const std::string &bundle, const bevel_model_options &options, const char *path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> wav{std::istreambuf_iterator<char>(file),
                                std::istreambuf_iterator<char>()};
    std::vector<float> samples;
    for (std::size_t at = 44; at + 1 < wav.size(); at += 2) {
        const int low = static_cast<unsigned char>(wav[at]);
        const int high = static_cast<signed char>(wav[at + 1]);
        samples.push_back(static_cast<float>(high * 256 + low) / 32768.0f);
    }
    bevel::Stream stream(bundle, &options);
    for (std::size_t at = 0; at < samples.size();) {
        const std::size_t length = std::min(samples.size() - at, stream.room());
        at += stream.push(samples.data() + at, length);
    }
    stream.finish();
    for (;;) {
        const bevel::Stream::Event found = stream.poll(1000);
        if (found.event.kind == BEVEL_EVENT_ENDED) break;
        if (found.event.kind == BEVEL_EVENT_FINAL) std::cout << found.text << '\n';
    }
}

}  // namespace

int main(int argc, char **argv) try {
    if (argc < 4) {
        std::cerr << "usage: sample TASK BUNDLE INPUT...\n";
        return BEVEL_BAD_INPUT;
    }
    const std::string task = argv[1];
    bevel_model_options options = bevel::init<bevel_model_options>();
    options.recipe = std::getenv("RECIPE");
    if (task == "listen") {
        hear(argv[2], options, argv[3]);
        return 0;
    }
    bevel::Model model(argv[2], &options);
    const bevel_model_info info = model.info();
    std::vector<bevel_input> inputs;
    for (int at = 3; at < argc; at++) {
        if (info.task == BEVEL_ANSWER && at + 1 < argc) {
            inputs.push_back(bevel::question(argv[at], argv[at + 1]));
            at++;
        } else if (info.input_kinds & 1u << BEVEL_INPUT_TEXT && argv[at][0] != '@') {
            inputs.push_back(bevel::text(argv[at]));
        } else {
            inputs.push_back(bevel::file(argv[at] + (argv[at][0] == '@')));
        }
    }
    const bevel::Answer answer = model.run(inputs);
    for (std::size_t item = 0; item < answer.size(); item++) {
        std::cout << answer.json(item) << '\n';
    }
    return 0;
} catch (const bevel::Error &error) {
    std::cerr << bevel_status_name(error.status()) << ": " << error.what() << '\n';
    return error.status();
}
