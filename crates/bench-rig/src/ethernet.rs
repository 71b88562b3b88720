//! What Ethernet has beside frames, and a mix of frames.

/// Octets of the frame check sequence, which counts in a frame's size and is in no buffer.
pub(crate) const FCS_LEN: usize = 4;
/// Octets that a frame takes on a wire beside its own: preamble, start of frame, gap.
pub(crate) const WIRE_OVERHEAD: usize = 20;
/// The shortest frame, in octets with FCS.
pub(crate) const SHORTEST: usize = 64;
/// Frames of the mix, in octets with FCS: 7 short, 4 middling and 1 long one, in an order that leaves none alike in a row
/// for long.
pub(crate) const IMIX: [usize; 12] = [64, 594, 64, 64, 1518, 64, 594, 64, 594, 64, 64, 594];
