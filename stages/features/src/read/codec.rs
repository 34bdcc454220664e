//! Decoders, symphonia's and our own, fed with packets.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow, bail, ensure};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

use super::block::Block;
use super::ima4::Ima4;
use super::vorbis::Vorbis;
use crate::faults;

/// A decoder for one stream of packets.
pub(crate) struct Codec(Decoder);

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Vorbis(Box<Vorbis>),
    Ima4(Ima4),
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
        if let Some(vorbis) = Vorbis::new(identification, setup)? {
            return Ok(Codec(Decoder::Vorbis(Box::new(vorbis))));
        }
        let mut params = AudioCodecParameters::new();
        let headers = [identification, setup].concat();
        params.for_codec(CODEC_ID_VORBIS).with_extra_data(headers.into());
        Codec::new(&params)
    }

    /// Creates the decoder for IMA 4:1.
    pub(crate) fn ima4(channels: usize, rate: u32) -> Codec {
        Codec(Decoder::Ima4(Ima4::new(channels, rate)))
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
            Decoder::Vorbis(vorbis) => vorbis.decode(data, block),
            Decoder::Ima4(ima4) => ima4.decode(data, block),
        }
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
