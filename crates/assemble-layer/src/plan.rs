//! Cuts the entries of a layer into units that are packed on their own. Part of the codec.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use assemble_deflate::Inflater;
use assemble_rootfs::{Body, NodeId, Part, TreeEntry};
use assemble_types::{Blob, ImagePath, Spool};

use crate::codec::Sizes;
use crate::header::{BLOCK, Header, padding};
use crate::source::{Stream, failed};
use crate::{AccountNames, LayerError};

/// A stream in which the layer's order goes back more often is unpacked first, and its files are like any others. Part
/// of the codec.
const MOST_PLACES: usize = 1024;

/// So is one in which it goes back over more than this many times its length. Part of the codec.
const MOST_BACK: u64 = 4;

/// But it may go back over so many bytes anyway. Part of the codec.
const BACK_ANYWAY: u64 = 16 << 20;

/// An entry, and what stands behind its header.
#[derive(Debug)]
pub(crate) struct Planned<'a> {
    pub(crate) entry: &'a TreeEntry<'a>,
    /// The link text, if it is a hard link.
    pub(crate) link: Option<&'a [u8]>,
    pub(crate) content: Content,
}

/// What stands behind a header.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Nothing.
    None,
    /// Bytes that are compressed here. In packages there are few.
    Plain(Box<Blob>),
    /// Bytes that come out of a stream.
    Deflated {
        /// The stream's number. There is one for each package, or fewer.
        source: u32,
        /// Its plain bytes.
        range: Range<u64>,
    },
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Plain(blob) => blob.len(),
            Self::Deflated { range, .. } => range.end - range.start,
        }
    }

    /// Whether blocks of a stream can be used; unknown if there is nothing to write.
    fn spliced(&self) -> Option<bool> {
        (self.len() > 0).then_some(matches!(self, Self::Deflated { .. }))
    }
}

/// Entries whose bytes are packed without regard to what stands before or behind them.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    pub(crate) entries: Range<usize>,
    /// One entry that may take more than one piece.
    pub(crate) large: bool,
    /// The bytes of its content that it has, if these are not all.
    pub(crate) part: Option<Range<u64>>,
    /// Written from blocks and symbols of streams; otherwise compressed.
    pub(crate) spliced: bool,
    /// The end of the layer follows.
    pub(crate) last: bool,
    /// Units that have to be read before this one, because they take from the same streams.
    pub(crate) after: Vec<usize>,
}

/// A whole layer, cut.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) entries: Vec<Planned<'a>>,
    pub(crate) units: Vec<Unit>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) sizes: Sizes,
}

impl<'a> Plan<'a> {
    /// `marked` says whether what is known of streams is used to read them at several places at once.
    pub(crate) fn new(
        entries: &'a [TreeEntry<'_>],
        sizes: Sizes,
        marked: bool,
        spool: &dyn Spool,
    ) -> Result<Self, LayerError> {
        let mut streams = Streams { marked, ..Streams::default() };
        let mut first_names = BTreeMap::new();
        let planned = entries.iter().map(|entry| {
            let (link, content) = describe(entry, &mut first_names);
            let content = content.map_or(Content::None, |blob| streams.content(blob));
            Planned { entry, link, content }
        });
        let mut planned: Vec<Planned<'a>> = planned.collect();
        for number in streams.disordered() {
            unpack(&mut planned, number, &streams.all[number], spool)?;
        }
        let mut units = Units::new(sizes);
        for (index, entry) in planned.iter().enumerate() {
            units.add(index, &entry.content, &streams.all);
        }
        let mut units = units.finish();
        depend(&mut units, &planned, &mut streams.all);
        Ok(Self { entries: planned, units, streams: streams.all, sizes })
    }

    /// About how many bytes of memory a large piece of most of the contents takes. Of one that is spliced, what is known of it
    /// may take more than its bytes, and it goes on to the end of a block.
    pub(crate) fn usual_footprint(&self) -> u64 {
        let bytes = |spliced| {
            let contents = self.entries.iter().map(|entry| &entry.content);
            contents.filter(|content| content.spliced() == Some(spliced)).map(Content::len).sum::<u64>()
        };
        if bytes(true) > bytes(false) { 2 * self.sizes.spliced.piece } else { self.sizes.compressed.piece }
    }

    /// Tar bytes of all contents, roughly.
    pub(crate) fn size(&self) -> u64 {
        self.entries.iter().map(|entry| entry.content.len() + BLOCK as u64).sum()
    }
}

/// In which order a stream's files come.
#[derive(Default)]
struct Order {
    /// Where the last one ends.
    at: u64,
    /// Where those begin that come after one that lies behind them.
    places: Vec<u64>,
    /// How far it goes back to them.
    back: u64,
}

/// Knows the streams by the sources that the blobs name.
#[derive(Default)]
struct Streams {
    marked: bool,
    all: Vec<Stream>,
    orders: Vec<Order>,
    numbers: BTreeMap<usize, usize>,
}

impl Streams {
    fn content(&mut self, blob: &Blob) -> Content {
        let Some(deflated) = blob.deflated() else {
            return Content::Plain(Box::new(blob.clone()));
        };
        let number = *self.numbers.entry(deflated.source).or_insert_with(|| {
            self.all.push(Stream::new(&deflated, blob, self.marked));
            self.orders.push(Order::default());
            self.all.len() - 1
        });
        let range = deflated.plain;
        if !range.is_empty() {
            let stream = &mut self.all[number];
            stream.end = stream.end.max(range.end);
            let order = &mut self.orders[number];
            if range.start < order.at {
                order.places.push(range.start);
                order.back = order.back.saturating_add(order.at - range.start);
            }
            order.at = range.end;
        }
        Content::Deflated { source: u32::try_from(number).unwrap_or(u32::MAX), range }
    }

    /// The streams that have to be unpacked first; the others learn where they will be gone back to.
    fn disordered(&mut self) -> Vec<usize> {
        let mut disordered = Vec::new();
        for (number, (stream, order)) in self.all.iter_mut().zip(&mut self.orders).enumerate() {
            let most = stream.end.saturating_mul(MOST_BACK).saturating_add(BACK_ANYWAY);
            if order.places.len() > MOST_PLACES || order.back > most {
                disordered.push(number);
            } else {
                stream.set_places(std::mem::take(&mut order.places));
            }
        }
        disordered
    }
}

/// Unpacks a stream and gives its files their plain bytes.
fn unpack(
    entries: &mut [Planned<'_>],
    number: usize,
    stream: &Stream,
    spool: &dyn Spool,
) -> Result<(), LayerError> {
    let of_stream =
        |content: &Content| matches!(content, Content::Deflated { source, .. } if *source as usize == number);
    let Some(first) = entries.iter().find(|entry| of_stream(&entry.content)) else {
        return Ok(());
    };
    let path = &first.entry.path;
    let mut out = spool.create().map_err(LayerError::Store)?;
    let mut inflater = Inflater::new(stream.reader(0));
    let mut plain = Vec::new();
    while inflater.position() < stream.end {
        plain.clear();
        inflater.read(stream.end, &mut plain).map_err(|source| failed(path, source))?;
        out.write_all(&plain).map_err(LayerError::Store)?;
    }
    stream.compare(inflater).map_err(|source| failed(path, source))?;
    stream.check().map_err(|source| LayerError::Content { path: path.clone(), source })?;
    let unpacked = out.finish().map_err(LayerError::Store)?;
    for entry in entries.iter_mut().filter(|entry| of_stream(&entry.content)) {
        if let Content::Deflated { range, .. } = &entry.content {
            let missing = || io::Error::other("a file does not lie in its package");
            let blob = unpacked.slice(range.clone()).ok_or_else(missing);
            let blob =
                blob.map_err(|source| LayerError::Content { path: entry.entry.path.clone(), source })?;
            entry.content = Content::Plain(Box::new(blob));
        }
    }
    Ok(())
}

/// Puts entries together.
struct Units {
    sizes: Sizes,
    all: Vec<Unit>,
    open: Unit,
    /// Bytes of the open unit; of headers only the first block counts.
    size: u64,
    spliced: Option<bool>,
}

impl Units {
    fn new(sizes: Sizes) -> Self {
        Self { sizes, all: Vec::new(), open: Unit::default(), size: 0, spliced: None }
    }

    fn add(&mut self, index: usize, content: &Content, streams: &[Stream]) {
        let spliced = content.spliced();
        let large = content.len() >= self.sizes.group(spliced);
        if large || (spliced.is_some() && self.spliced.is_some() && spliced != self.spliced) {
            self.close(index);
        }
        self.open.entries.end = index + 1;
        self.open.large = large;
        self.spliced = self.spliced.or(spliced);
        if large && let Content::Deflated { source, range } = content {
            self.cut(index, range, &streams[*source as usize]);
        }
        self.size += BLOCK as u64 + content.len() + padding(content.len()) as u64;
        if self.size >= self.sizes.group(self.spliced) {
            self.close(index + 1);
        }
    }

    /// Makes what lies between two marks of a large content units of their own: pieces end there in any case.
    fn cut(&mut self, index: usize, range: &Range<u64>, stream: &Stream) {
        let mut start = 0;
        for end in stream.marks_within(range) {
            self.all.push(Unit {
                entries: index..index + 1,
                large: true,
                part: Some(start..end),
                spliced: true,
                ..Unit::default()
            });
            start = end;
        }
        self.open.part = (start > 0).then_some(start..range.end - range.start);
    }

    fn close(&mut self, next: usize) {
        let mut unit = std::mem::take(&mut self.open);
        self.open.entries = next..next;
        if !unit.entries.is_empty() {
            unit.spliced = self.spliced == Some(true);
            self.all.push(unit);
        }
        (self.size, self.spliced) = (0, None);
    }

    fn finish(mut self) -> Vec<Unit> {
        // The end belongs to the open unit, and to one of its own if there is none.
        let mut unit = self.open;
        unit.spliced = self.spliced == Some(true);
        unit.last = true;
        self.all.push(unit);
        self.all
    }
}

/// Notes which units take from one lane of a stream, and when it is no longer needed.
fn depend(units: &mut [Unit], entries: &[Planned<'_>], streams: &mut [Stream]) {
    let mut last: Vec<Vec<Option<usize>>> = streams.iter().map(|stream| vec![None; stream.lanes()]).collect();
    for (number, unit) in units.iter_mut().enumerate() {
        for entry in &entries[unit.entries.clone()] {
            let Content::Deflated { source, range } = &entry.content else { continue };
            let from = range.start + unit.part.as_ref().map_or(0, |part| part.start);
            let source = *source as usize;
            let last = &mut last[source][streams[source].lane(from)];
            match *last {
                Some(before) if before == number => {}
                before => {
                    unit.after.extend(before);
                    *last = Some(number);
                }
            }
        }
        unit.after.sort_unstable();
        unit.after.dedup();
    }
    for (stream, last) in streams.iter_mut().zip(last) {
        for (lane, unit) in last.into_iter().enumerate() {
            stream.set_last_unit(lane, unit);
        }
    }
}

impl<'a> Planned<'a> {
    /// Appends the header.
    pub(crate) fn encode(&self, names: &AccountNames, out: &mut Vec<u8>) -> Result<(), LayerError> {
        let mut header = self.header();
        header.uname = names.user(header.uid);
        header.gname = names.group(header.gid);
        let unrepresentable = |why| LayerError::Unrepresentable { path: self.entry.path.clone(), why };
        header.encode(out).map_err(unrepresentable)
    }

    /// The header, but for the names of its owners.
    fn header(&self) -> Header<'a> {
        let (entry, meta) = (self.entry, &self.entry.node.meta);
        let mut header = Header {
            name: entry.path.as_bytes(),
            mode: meta.mode.bits(),
            uid: meta.owner.uid,
            gid: meta.owner.gid,
            mtime: meta.mtime,
            ..Header::default()
        };
        match &entry.node.body {
            Body::Directory(_) => {
                header.type_flag = b'5';
                header.xattrs = entry.node.xattrs.as_deref();
            }
            Body::Symlink(text) => {
                header.type_flag = b'2';
                header.mode = assemble_types::Mode::SYMLINK.bits();
                header.link = text;
            }
            Body::CharDevice { major, minor } => {
                header.type_flag = b'3';
                (header.major, header.minor) = (*major, *minor);
            }
            Body::File(_) => {
                if let Some(text) = self.link {
                    header.type_flag = b'1';
                    header.link = text;
                } else {
                    header.type_flag = b'0';
                    header.size = self.content.len();
                    header.xattrs = entry.node.xattrs.as_deref();
                }
            }
        }
        if header.xattrs.is_some_and(BTreeMap::is_empty) {
            header.xattrs = None;
        }
        header
    }
}

/// The link text, if this name of a file is written as a hard link, and else the content.
fn describe<'a>(
    entry: &'a TreeEntry<'_>,
    first_names: &mut BTreeMap<NodeId, &'a ImagePath>,
) -> (Option<&'a [u8]>, Option<&'a Blob>) {
    let Body::File(blob) = &entry.node.body else {
        return (None, None);
    };
    if entry.hard_link.is_some() {
        return (entry.hard_link, None);
    }
    if entry.part == Part::Packages {
        return (None, Some(blob));
    }
    if let Some(first) = first_names.get(&entry.id) {
        return (Some(first.as_bytes()), None);
    }
    first_names.insert(entry.id, &entry.path);
    (None, Some(blob))
}
