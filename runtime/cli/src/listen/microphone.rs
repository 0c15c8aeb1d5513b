//! Sound cards, through cpal.

use anyhow::anyhow;
use bevel_manifest::ErrorKind;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{Data, FromSample, Sample, SampleFormat, SizedSample, SupportedStreamConfig};

use crate::failure::fail;
use crate::listen::kept::{Found, Microphone, Sink};
use crate::show::table;

/// What speech models hear: a card that records it needs no resampling.
const WANTED_HZ: u32 = 16_000;
/// Samples of one channel that are put into a sink at once.
const BLOCK: usize = 512;

/// A sound card by its name, or the system's choice.
pub struct Card {
    name: Option<String>,
    found: Option<(cpal::Device, SupportedStreamConfig)>,
}

impl Card {
    pub fn new(name: Option<String>) -> Self {
        Self { name, found: None }
    }
}

impl Microphone for Card {
    type Stream = cpal::Stream;

    fn find(&mut self) -> anyhow::Result<Found> {
        self.found = None;
        let _quiet = quiet();
        let host = cpal::default_host();
        let device = match &self.name {
            None => host.default_input_device().ok_or_else(nothing)?,
            Some(name) => named(&host, name)?,
        };
        let config = config(&device).map_err(|e| match self.name {
            // The system may name one where there is none.
            None if inputs().is_empty() => nothing(),
            _ => fail(ErrorKind::Device, format!("{}: {e}", title(&device))),
        })?;
        let found = Found {
            name: title(&device),
            sample_rate_hz: config.sample_rate(),
        };
        self.found = Some((device, config));
        Ok(found)
    }

    fn start(&mut self, sink: Sink) -> anyhow::Result<cpal::Stream> {
        let (device, config) = self
            .found
            .take()
            .ok_or_else(|| anyhow!("no device was found"))?;
        let _quiet = quiet();
        let (channels, format) = (usize::from(config.channels()), config.sample_format());
        let trouble = sink.clone();
        let mut block = [0.0; BLOCK];
        let stream = device.build_input_stream_raw(
            config.config(),
            format,
            move |data, _| {
                mono(data, channels, &mut block, &mut |samples| {
                    sink.sound(samples)
                })
            },
            move |error| {
                use cpal::ErrorKind::{DeviceChanged, RealtimeDenied, Xrun};
                // After these it goes on by itself.
                if !matches!(error.kind(), DeviceChanged | RealtimeDenied | Xrun) {
                    trouble.failed(error.to_string());
                }
            },
            None,
        );
        let failed = |e: cpal::Error| fail(ErrorKind::Device, format!("{}: {e}", title(&device)));
        let stream = stream.map_err(failed)?;
        stream.play().map_err(failed)?;
        Ok(stream)
    }
}

/// Prints the devices that record.
pub fn list() -> anyhow::Result<()> {
    let inputs = inputs();
    if inputs.is_empty() {
        return Err(nothing());
    }
    let rows = inputs.into_iter().map(|(id, name)| vec![id, name]);
    print!("{}", table(&rows.collect::<Vec<_>>()));
    Ok(())
}

/// Name for `--device-name` and title of the devices that record.
pub fn inputs() -> Vec<(String, String)> {
    let _quiet = quiet();
    let devices = cpal::default_host().input_devices();
    let devices = devices.into_iter().flatten();
    let devices = devices.map(|device| (id(&device), title(&device)));
    // ALSA's way to hear nothing.
    devices.filter(|(id, _)| id != "null").collect()
}

/// Keeps what ALSA prints off the terminal; what matters comes as an error, too.
#[cfg(target_os = "linux")]
fn quiet() -> impl Sized {
    alsa::Output::local_error_handler().ok()
}

#[cfg(not(target_os = "linux"))]
fn quiet() -> impl Sized {}

/// Why there is none.
pub fn nothing() -> anyhow::Error {
    let what = "no device records sound: connect a microphone, or see whether this user may use it \
                (on Linux group `audio`, and `arecord -l`)";
    fail(ErrorKind::Device, what)
}

fn named(host: &cpal::Host, name: &str) -> anyhow::Result<cpal::Device> {
    let devices: Vec<_> = host.devices().into_iter().flatten().collect();
    let wanted = name.to_lowercase();
    let like = |device: &&cpal::Device| title(device).to_lowercase().contains(&wanted);
    let exact = |device: &&cpal::Device| id(device) == name || title(device) == name;
    let found = devices
        .iter()
        .find(exact)
        .or_else(|| devices.iter().find(like));
    found.cloned().ok_or_else(|| {
        let what = format!("no microphone `{name}`; see `bevel listen --list-devices`");
        fail(ErrorKind::Device, what)
    })
}

fn id(device: &cpal::Device) -> String {
    // "alsa:default": the part behind the system is what its other tools call it.
    let id = device.id().map(|id| id.to_string()).unwrap_or_default();
    id.split_once(':')
        .map_or(id.clone(), |(_, name)| name.to_owned())
}

fn title(device: &cpal::Device) -> String {
    let name = device.description().map(|d| d.name().to_owned());
    name.unwrap_or_else(|_| id(device))
}

/// The way of recording that loses least: 16 kHz and few channels where that can be had, else what
/// the device likes best.
fn config(device: &cpal::Device) -> Result<SupportedStreamConfig, cpal::Error> {
    let ways = device.supported_input_configs()?;
    let ways = ways.filter(|way| is_known(way.sample_format()));
    let ways = ways.filter_map(|way| way.try_with_sample_rate(WANTED_HZ));
    // Precise formats first; all that are known hold more than speech needs from 16 bits on.
    let coarse = |way: &SupportedStreamConfig| way.sample_format().sample_size() < 2;
    match ways.min_by_key(|way| {
        (
            coarse(way),
            way.channels(),
            way.sample_format().sample_size(),
        )
    }) {
        Some(way) => Ok(way),
        None => device.default_input_config(),
    }
}

fn is_known(format: SampleFormat) -> bool {
    use SampleFormat::{F32, F64, I8, I16, I24, I32, U8, U16, U24, U32};
    matches!(
        format,
        F32 | F64 | I8 | I16 | I24 | I32 | U8 | U16 | U24 | U32
    )
}

/// Makes one channel of what a device gives.
fn mono(data: &Data, channels: usize, block: &mut [f32], sink: &mut dyn FnMut(&[f32])) {
    fn of<T: SizedSample>(
        data: &Data,
        channels: usize,
        block: &mut [f32],
        sink: &mut dyn FnMut(&[f32]),
    ) where
        f32: FromSample<T>,
    {
        let samples = data.as_slice::<T>().unwrap_or_default();
        mix(samples, channels, block, sink);
    }
    match data.sample_format() {
        SampleFormat::F32 => of::<f32>(data, channels, block, sink),
        SampleFormat::F64 => of::<f64>(data, channels, block, sink),
        SampleFormat::I8 => of::<i8>(data, channels, block, sink),
        SampleFormat::I16 => of::<i16>(data, channels, block, sink),
        SampleFormat::I24 => of::<cpal::I24>(data, channels, block, sink),
        SampleFormat::I32 => of::<i32>(data, channels, block, sink),
        SampleFormat::U8 => of::<u8>(data, channels, block, sink),
        SampleFormat::U16 => of::<u16>(data, channels, block, sink),
        SampleFormat::U24 => of::<cpal::U24>(data, channels, block, sink),
        SampleFormat::U32 => of::<u32>(data, channels, block, sink),
        // Never asked for.
        _ => {}
    }
}

/// The mean of the channels, block by block.
fn mix<T: SizedSample>(
    samples: &[T],
    channels: usize,
    block: &mut [f32],
    sink: &mut dyn FnMut(&[f32]),
) where
    f32: FromSample<T>,
{
    let channels = channels.max(1);
    for frames in samples.chunks(block.len() * channels) {
        let mut count = 0;
        for (mono, frame) in block.iter_mut().zip(frames.chunks_exact(channels)) {
            let sum: f32 = frame.iter().map(|s| f32::from_sample(*s)).sum();
            *mono = sum / channels as f32;
            count += 1;
        }
        sink(&block[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_format_becomes_one_channel() {
        let mut found = Vec::new();
        let mut sink = |samples: &[f32]| found.extend_from_slice(samples);
        let mut block = [0.0; 2];
        mix(
            &[0.5_f32, -0.5, 1.0, 0.0, 0.25, 0.25],
            2,
            &mut block,
            &mut sink,
        );
        mix(&[i16::MIN, 0, 16_384], 1, &mut block, &mut sink);
        mix(&[0_u8, 128, 192, 192], 2, &mut block, &mut sink);
        mix(&[32_768_u16, 0], 1, &mut block, &mut sink);
        mix::<f32>(&[], 0, &mut block, &mut sink);
        let expected = [0.0, 0.5, 0.25, -1.0, 0.0, 0.5, -0.5, 0.5, 0.0, -1.0];
        assert_eq!(found, expected);
    }
}
