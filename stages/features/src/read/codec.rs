//! Decoders of symphonia and lewton, fed with packets.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow, bail, ensure};
use lewton::audio::{PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{
    HeaderReadError, IdentHeader, SetupHeader, read_header_ident, read_header_setup,
};
use lewton::samples::InterleavedSamples;
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::block::Block;
use super::vorbis;
use crate::faults;

/// A decoder for one stream of packets.
pub(crate) struct Codec(Decoder);

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Lewton(Box<Lewton>),
}

/// The state of lewton's decoder.
struct Lewton {
    identification: IdentHeader,
    setup: SetupHeader,
    window: PreviousWindowRight,
}

impl Codec {
    /// Creates the decoder for a stream.
    ///
    /// # Errors
    /// No decoder exists for it, or its setup is damaged.
    pub(crate) fn new(params: &AudioCodecParameters) -> Result<Codec> {
        let options = AudioDecoderOptions::default();
        let made =
            guarded(|| symphonia::default::get_codecs().make_audio_decoder(params, &options))?;
        let decoder = made.map_err(|error| anyhow!(faults::no_codec(&error)))?;
        Ok(Codec(Decoder::Symphonia(decoder)))
    }

    /// Creates the decoder for a stream of Vorbis, from two of its headers.
    ///
    /// # Errors
    /// A header is damaged.
    pub(crate) fn vorbis(identification: &[u8], setup: &[u8]) -> Result<Codec> {
        if vorbis::suits_symphonia(identification, setup)? {
            let mut params = AudioCodecParameters::new();
            let headers = [identification, setup].concat();
            params.for_codec(CODEC_ID_VORBIS).with_extra_data(headers.into());
            return Codec::new(&params);
        }
        let made = guarded(|| {
            let identification = read_header_ident(identification)?;
            let sizes = (identification.blocksize_0, identification.blocksize_1);
            let setup = read_header_setup(setup, identification.audio_channels, sizes)?;
            Ok(Lewton { identification, setup, window: PreviousWindowRight::new() })
        })?;
        let made = made.map_err(|error: HeaderReadError| {
            anyhow!("the Vorbis header is damaged ({error}): replace or remove the file")
        })?;
        Ok(Codec(Decoder::Lewton(Box::new(made))))
    }

    /// Appends the frames of a packet to `block`.
    ///
    /// `frames` is the length that the container knows, for codecs whose packets do not tell it.
    ///
    /// # Errors
    /// The packet is damaged. `block` is then unchanged, unless it has frames of another spec.
    pub(crate) fn decode(&mut self, data: &[u8], frames: u64, block: &mut Block) -> Result<()> {
        match &mut self.0 {
            Decoder::Symphonia(decoder) => {
                let packet = PacketRef::new(0, Timestamp::ZERO, Duration::from(frames), data);
                match guarded(|| decoder.decode_ref(&packet))? {
                    Ok(buffer) => append(&buffer, block),
                    Err(error) => bail!(faults::damaged(&error)),
                }
            }
            Decoder::Lewton(lewton) => lewton.decode(data, block),
        }
    }
}

impl Lewton {
    fn decode(&mut self, data: &[u8], block: &mut Block) -> Result<()> {
        let Lewton { identification, setup, window } = self;
        let decoded: Result<InterleavedSamples<f32>, _> =
            guarded(|| read_audio_packet_generic(identification, setup, data, window))?;
        let samples = decoded
            .map_err(|error| {
                anyhow!("no part can be decoded ({error}): the file is damaged; replace it")
            })?
            .samples;
        if block.samples.is_empty() {
            let channels = usize::from(identification.audio_channels);
            block.begin(channels, identification.audio_sample_rate)?;
        }
        block.samples.extend(samples);
        Ok(())
    }
}

/// Runs a decoder, whose arithmetic may overflow on hostile input.
fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .map_err(|_| anyhow!("the decoder failed: the file is damaged; replace or remove it"))
}

fn append(buffer: &GenericAudioBufferRef<'_>, block: &mut Block) -> Result<()> {
    let (channels, rate) = (buffer.num_planes(), buffer.spec().rate());
    if channels == 0 || buffer.frames() == 0 {
        return Ok(());
    }
    if block.samples.is_empty() {
        block.begin(channels, rate)?;
    }
    ensure!(
        (block.channels, block.rate) == (channels, rate),
        "the channels or the sample rate change within a packet: replace the file"
    );
    let start = block.samples.len();
    block.samples.resize(start + channels * buffer.frames(), 0.0);
    buffer.copy_to_slice_interleaved(&mut block.samples[start..]);
    Ok(())
}
