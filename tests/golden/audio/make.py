"""Half a second of a 440 Hz sine of amplitude 0.5 in every format that is read, at common and at odd rates, depths and
numbers of channels, and in Opus, which is not read.

    pip install av==18.1.0 soundfile==0.14.0 numpy && python make.py

PyAV holds FFmpeg with LAME, libopus and FFmpeg's own AAC; soundfile holds libvorbis.
"""
import pathlib
import av, numpy as np, soundfile as sf

HERE = pathlib.Path(__file__).parent

def write(name, codec, rate, layout, fmt, container=None):
    channels = len(av.AudioLayout(layout).channels)
    t = np.arange(rate // 2) / rate
    x = np.repeat((0.5 * np.sin(2 * np.pi * 440 * t))[None], channels, 0).astype("float32")
    with av.open(str(HERE / name), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000 if "aac" in codec else 48_000
        resampler = av.AudioResampler(format=stream.codec_context.format or fmt, layout=layout, rate=rate)
        fifo = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(x, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        for f in resampler.resample(frame) + resampler.resample(None):
            fifo.write(f)
        size = stream.codec_context.frame_size or 4096
        while (f := fifo.read(size)) or (f := fifo.read(size, partial=True)):
            for packet in stream.encode(f):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    print(name, (HERE / name).stat().st_size)

write("tone.flac", "flac", 16000, "mono", "s16")
write("tone.mp3", "libmp3lame", 44100, "stereo", "fltp")
t = np.arange(24000) / 48000
sf.write(HERE / "tone.ogg", np.repeat(0.5 * np.sin(2 * np.pi * 440 * t)[:, None], 2, 1), 48000)
write("tone.m4a", "aac", 44100, "stereo", "fltp", "ipod")
write("tone.aac", "aac", 22050, "mono", "fltp", "adts")
write("tone.opus", "libopus", 48000, "mono", "s16", "ogg")

# Rarer ones.
write("alaw.wav", "pcm_alaw", 8000, "mono", "s16")
write("mulaw.wav", "pcm_mulaw", 8000, "stereo", "s16")
write("ima.wav", "adpcm_ima_wav", 11025, "mono", "s16p")
write("ms.wav", "adpcm_ms", 11025, "stereo", "s16")
write("tone.aiff", "pcm_s16be", 22050, "mono", "s16")
write("alac.m4a", "alac", 44100, "mono", "s16p", "ipod")
write("alac.caf", "alac", 16000, "stereo", "s16p", "caf")
write("tone.mp2", "mp2", 32000, "mono", "s16", "mp2")
write("8k.mp3", "libmp3lame", 8000, "mono", "fltp")
write("8k.aac", "aac", 8000, "mono", "fltp", "adts")
write("96k.m4a", "aac", 96000, "stereo", "fltp", "ipod")
write("5.1.m4a", "aac", 32000, "5.1", "fltp", "ipod")
write("24bit.flac", "flac", 96000, "mono", "s32")
t = np.arange(11025 // 2) / 11025
sf.write(HERE / "8ch.flac", np.repeat(0.5 * np.sin(2 * np.pi * 440 * t)[:, None], 8, 1), 11025)
sf.write(HERE / "6ch.ogg", np.repeat(0.5 * np.sin(2 * np.pi * 440 * t)[:, None], 6, 1), 11025)
