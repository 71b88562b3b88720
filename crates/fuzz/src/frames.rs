//! Frames of an input.

use crate::Input;
use secy::MemFrame;

/// A frame of the input: how many mutations follow, how it is cut into segments, two octets of length, itself.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// Whether it is to be protected before it is mutated.
    pub protected: bool,
    /// Octets without FCS.
    pub octets: &'a [u8],
    mutations: Vec<Mutation>,
    first_piece: usize,
    other_pieces: usize,
}

/// A way to spoil a frame.
#[derive(Clone, Copy, Debug)]
pub enum Mutation {
    /// Xors an octet.
    Flip(usize, u8),
    /// Cuts the frame.
    Cut(usize),
    /// Adds octets at the end.
    Grow(usize),
    /// Adds four octets, such as a VLAN tag, after the addresses.
    Tag([u8; 2]),
    /// Takes four octets after the addresses away.
    Untag,
}

impl<'a> Frame<'a> {
    /// Reads the next frame.
    pub fn read(input: &mut Input<'a>) -> Self {
        let how = input.octet();
        let mutations = (0..how & 3).map(|_| Mutation::read(input)).collect();
        let (first_piece, other_pieces) = match how & 0x40 {
            0 => (usize::MAX, 1),
            _ => (input.octet().into(), usize::from(input.octet()).max(1)),
        };
        let len = input.short() & 0x3fff;
        let octets = input.octets(len.into());
        Frame { protected: how & 0x80 != 0, octets, mutations, first_piece, other_pieces }
    }

    /// `octets` with this frame's mutations.
    pub fn mutated(&self, mut octets: Vec<u8>) -> Vec<u8> {
        self.mutations.iter().for_each(|m| m.apply(&mut octets));
        octets
    }

    /// `octets` cut into segments as this frame says.
    pub fn scattered(&self, octets: &[u8]) -> MemFrame {
        let (first, rest) = octets.split_at(self.first_piece.min(octets.len()));
        MemFrame::scattered([first].into_iter().chain(rest.chunks(self.other_pieces)))
    }
}

impl Mutation {
    fn read(input: &mut Input<'_>) -> Self {
        let (kind, at, value) = (input.octet(), input.short(), input.octet());
        match kind % 5 {
            0 => Mutation::Flip(at.into(), value),
            1 => Mutation::Cut(at.into()),
            2 => Mutation::Grow((at & 0x7f).into()),
            3 => Mutation::Tag(at.to_be_bytes()),
            _ => Mutation::Untag,
        }
    }

    fn apply(self, octets: &mut Vec<u8>) {
        let len = octets.len();
        match self {
            Mutation::Flip(at, value) if len > 0 => octets[at % len] ^= value,
            Mutation::Cut(to) => octets.truncate(to),
            Mutation::Grow(by) => octets.resize(len + by, 0),
            Mutation::Tag([a, b]) if len >= 12 => drop(octets.splice(12..12, [a, b, 0, 1])),
            Mutation::Untag if len >= 16 => drop(octets.drain(12..16)),
            _ => {}
        }
    }
}
