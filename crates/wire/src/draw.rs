//! The draw list: what an environment wants seen, as records that any renderer can follow (E3).
//!
//! Little-endian. A `u32` count, then so many records, each a header of 12 bytes and a body of its kind:
//!
//! | bytes | header field |
//! | --- | --- |
//! | 0 | kind, `u8` |
//! | 1 | reserved, 0 |
//! | 2–3 | depth, `i16`: lower is further back; equal depths keep their order |
//! | 4–7 | colour, `u32`, 0xRRGGBBAA |
//! | 8–11 | stroke, `f32`: 0 fills the shape, more outlines it with lines of that width |
//!
//! | kind | body, all `f32` unless said otherwise |
//! | --- | --- |
//! | 1 rect | x, y (top left), width, height, corner radius |
//! | 2 circle | x, y (centre), radius |
//! | 3 ellipse | x, y (centre), radius x, radius y, rotation (radians) |
//! | 4 line | x1, y1, x2, y2; its width is the stroke, 1 when that is 0 |
//! | 5 polygon | `u32` points (3 to 256), then x, y of each |
//! | 6 arc | x, y (centre), radius, start, end (radians, clockwise from the right); filled it is a sector |
//! | 7 text | x, y (baseline), size, `u32` align (0 left, 1 centre, 2 right), `u32` bytes (≤ 256), UTF-8 padded to 4 |
//! | 8 image | x, y (top left), width, height, `u32` bytes (≤ 256), name in UTF-8 padded to 4 |

/// The longest draw list that is read, in bytes.
pub const MAX_DRAW_BYTES: usize = 256 * 1024;
/// The most records in a draw list.
pub const MAX_DRAW_COMMANDS: u32 = 8192;
/// The most points of a polygon.
pub const MAX_POLYGON_POINTS: u32 = 256;
/// The most bytes of a text or of an image's name.
pub const MAX_TEXT_BYTES: u32 = 256;

/// One thing to draw.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DrawCommand<'a> {
    /// Lower is further back.
    pub depth: i16,
    /// 0xRRGGBBAA.
    pub colour: u32,
    /// 0 fills, more outlines with lines of that width.
    pub stroke: f32,
    /// What.
    pub shape: Shape<'a>,
}

/// The kinds of things to draw; lengths in the manifest's units, angles in radians.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(missing_docs, reason = "the module's table says what each number is")]
pub enum Shape<'a> {
    /// Kind 1.
    Rect { x: f32, y: f32, width: f32, height: f32, radius: f32 },
    /// Kind 2.
    Circle { x: f32, y: f32, radius: f32 },
    /// Kind 3.
    Ellipse { x: f32, y: f32, radius_x: f32, radius_y: f32, rotation: f32 },
    /// Kind 4.
    Line { x1: f32, y1: f32, x2: f32, y2: f32 },
    /// Kind 5.
    Polygon { points: Points<'a> },
    /// Kind 6.
    Arc { x: f32, y: f32, radius: f32, start: f32, end: f32 },
    /// Kind 7.
    Text { x: f32, y: f32, size: f32, align: Align, text: &'a str },
    /// Kind 8.
    Image { x: f32, y: f32, width: f32, height: f32, name: &'a str },
}

/// Where a text's x is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    /// At its left end.
    Left,
    /// In its middle.
    Centre,
    /// At its right end.
    Right,
}

/// A polygon's points, still in the draw list's bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Points<'a>(&'a [u8]);

impl Points<'_> {
    /// The points, x and y.
    pub fn iter(&self) -> impl Iterator<Item = (f32, f32)> {
        let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_le_bytes);
        self.0.chunks_exact(8).map(move |point| (number(&point[..4]), number(&point[4..])))
    }
}

/// Why a draw list was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DrawError {
    /// Longer than [`MAX_DRAW_BYTES`] or with more than [`MAX_DRAW_COMMANDS`].
    #[error("the draw list is too long")]
    TooLong,
    /// It ends inside a record.
    #[error("the draw list ends inside record {0}")]
    Truncated(u32),
    /// A record has a kind, a length, an alignment or a text that cannot be.
    #[error("record {0} of the draw list is malformed")]
    Malformed(u32),
}

struct Reader<'a> {
    bytes: &'a [u8],
    record: u32,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DrawError> {
        let (head, rest) = self.bytes.split_at_checked(length).ok_or(DrawError::Truncated(self.record))?;
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DrawError> {
        self.take(N)?.try_into().map_err(|_| DrawError::Truncated(self.record))
    }

    fn u32(&mut self) -> Result<u32, DrawError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number that a canvas can take: finite, or the record is malformed.
    fn f32(&mut self) -> Result<f32, DrawError> {
        let number = self.array().map(f32::from_le_bytes)?;
        if number.is_finite() { Ok(number) } else { Err(DrawError::Malformed(self.record)) }
    }

    fn text(&mut self) -> Result<&'a str, DrawError> {
        let length = self.u32()?;
        if length > MAX_TEXT_BYTES {
            return Err(DrawError::Malformed(self.record));
        }
        let padded = self.take((length as usize).next_multiple_of(4))?;
        str::from_utf8(&padded[..length as usize]).map_err(|_| DrawError::Malformed(self.record))
    }

    fn shape(&mut self, kind: u8) -> Result<Shape<'a>, DrawError> {
        Ok(match kind {
            1 => Shape::Rect {
                x: self.f32()?,
                y: self.f32()?,
                width: self.f32()?,
                height: self.f32()?,
                radius: self.f32()?,
            },
            2 => Shape::Circle { x: self.f32()?, y: self.f32()?, radius: self.f32()? },
            3 => Shape::Ellipse {
                x: self.f32()?,
                y: self.f32()?,
                radius_x: self.f32()?,
                radius_y: self.f32()?,
                rotation: self.f32()?,
            },
            4 => Shape::Line { x1: self.f32()?, y1: self.f32()?, x2: self.f32()?, y2: self.f32()? },
            5 => {
                let count = self.u32()?;
                if !(3..=MAX_POLYGON_POINTS).contains(&count) {
                    return Err(DrawError::Malformed(self.record));
                }
                let points = Points(self.take(count as usize * 8)?);
                if points.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
                    return Err(DrawError::Malformed(self.record));
                }
                Shape::Polygon { points }
            }
            6 => Shape::Arc {
                x: self.f32()?,
                y: self.f32()?,
                radius: self.f32()?,
                start: self.f32()?,
                end: self.f32()?,
            },
            7 => Shape::Text {
                x: self.f32()?,
                y: self.f32()?,
                size: self.f32()?,
                align: match self.u32()? {
                    0 => Align::Left,
                    1 => Align::Centre,
                    2 => Align::Right,
                    _ => return Err(DrawError::Malformed(self.record)),
                },
                text: self.text()?,
            },
            8 => Shape::Image {
                x: self.f32()?,
                y: self.f32()?,
                width: self.f32()?,
                height: self.f32()?,
                name: self.text()?,
            },
            _ => return Err(DrawError::Malformed(self.record)),
        })
    }
}

/// Reads a draw list and sorts it by depth, back to front.
///
/// # Errors
/// Nothing of a broken list is returned; the error names the record.
pub fn parse(bytes: &[u8]) -> Result<Vec<DrawCommand<'_>>, DrawError> {
    if bytes.len() > MAX_DRAW_BYTES {
        return Err(DrawError::TooLong);
    }
    let mut reader = Reader { bytes, record: 0 };
    let count = reader.u32()?;
    if count > MAX_DRAW_COMMANDS {
        return Err(DrawError::TooLong);
    }
    // The shortest record, a circle, has 24 bytes: the count is not taken on trust.
    let mut commands = Vec::with_capacity((count as usize).min(bytes.len() / 24));
    for record in 0..count {
        reader.record = record;
        let [kind, reserved] = reader.array()?;
        let depth = i16::from_le_bytes(reader.array()?);
        let colour = reader.u32()?;
        let stroke = reader.f32()?;
        if reserved != 0 || stroke < 0.0 {
            return Err(DrawError::Malformed(record));
        }
        commands.push(DrawCommand { depth, colour, stroke, shape: reader.shape(kind)? });
    }
    if !reader.bytes.is_empty() {
        return Err(DrawError::Malformed(count));
    }
    commands.sort_by_key(|command| command.depth);
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, depth: i16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0];
        bytes.extend(depth.to_le_bytes());
        bytes.extend(0x1122_33ff_u32.to_le_bytes());
        bytes.extend(0_f32.to_le_bytes());
        bytes.extend(body);
        bytes
    }

    fn floats(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn list(records: &[Vec<u8>]) -> Vec<u8> {
        [&(records.len() as u32).to_le_bytes()[..], &records.concat()].concat()
    }

    #[test]
    fn records_come_back_to_front() {
        let bytes = list(&[
            record(2, 5, &floats(&[1.0, 2.0, 3.0])),
            record(7, -1, &[&floats(&[0.0, 0.0, 12.0])[..], &[1, 0, 0, 0, 2, 0, 0, 0], b"hi\0\0"].concat()),
        ]);
        let commands = parse(&bytes).unwrap();
        assert_eq!(
            commands[0].shape,
            Shape::Text { x: 0.0, y: 0.0, size: 12.0, align: Align::Centre, text: "hi" }
        );
        assert_eq!(commands[1].shape, Shape::Circle { x: 1.0, y: 2.0, radius: 3.0 });
        assert_eq!(commands[1].colour, 0x1122_33ff);
    }

    #[test]
    fn a_polygon_gives_its_points() {
        let body = [&3_u32.to_le_bytes()[..], &floats(&[0.0, 0.0, 4.0, 0.0, 0.0, 4.0])].concat();
        let bytes = list(&[record(5, 0, &body)]);
        let Shape::Polygon { points } = parse(&bytes).unwrap()[0].shape else { panic!("not a polygon") };
        assert_eq!(points.iter().collect::<Vec<_>>(), [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)]);
    }

    #[test]
    fn broken_lists_are_refused_by_record() {
        let circle = || record(2, 0, &floats(&[1.0, 2.0, 3.0]));
        let nan = record(2, 0, &floats(&[1.0, f32::NAN, 3.0]));
        assert_eq!(parse(&list(&[circle(), nan])), Err(DrawError::Malformed(1)));
        assert_eq!(parse(&list(&[circle(), record(9, 0, &[])])), Err(DrawError::Malformed(1)));
        let whole = list(&[circle(), circle()]);
        for length in 4..whole.len() {
            assert!(matches!(parse(&whole[..length]), Err(DrawError::Truncated(_))), "{length} bytes");
        }
        assert_eq!(parse(&u32::MAX.to_le_bytes()), Err(DrawError::TooLong));
    }
}
