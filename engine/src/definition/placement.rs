//! Places the boxes and lines of a diagram in layers, top to bottom.
//!
//! The method of Sugiyama, Tagawa and Toda (1981): turn lines around until there is no cycle, put boxes in
//! ranks, order each rank so that few lines cross, then move everything towards its neighbours. A line's label
//! is a box in the rank halfway, so that no text can lie over another text or over a box.

use std::cmp::Ordering;

/// A width and a height, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Size {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A point, in pixels from the top left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A line between two boxes (by index, never from a box to itself), with the size of its label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) label: Option<Size>,
}

/// Where everything goes.
#[derive(Debug)]
pub(crate) struct Placement {
    pub(crate) size: Size,
    /// The middle of each box.
    pub(crate) boxes: Vec<Point>,
    /// In the order of the lines given.
    pub(crate) lines: Vec<PlacedLine>,
}

/// A line's way: an even number of points; each pair is joined by a straight piece where it passes a rank,
/// and the way between one pair and the next is a curve that leaves and arrives vertically.
#[derive(Debug)]
pub(crate) struct PlacedLine {
    pub(crate) points: Vec<Point>,
    pub(crate) label: Option<Point>,
}

/// Sweeps over the ranks while ordering; more changed nothing in diagrams of 25 boxes and 60 lines.
const ORDER_SWEEPS: usize = 24;
/// Sweeps while moving towards neighbours.
const MOVE_SWEEPS: usize = 300;
const MARGIN: f64 = 20.0;
const BESIDE: f64 = 22.0;
const RANK_GAP_MIN: f64 = 16.0;
const RANK_GAP_MAX: f64 = 44.0;

/// What stands in a rank: a box, or the place where a line passes.
struct Slot {
    rank: usize,
    size: Size,
    is_box: bool,
    x: f64,
    up: Vec<usize>,
    down: Vec<usize>,
}

/// Places boxes and lines. The first box comes to the top. The same input gives the same placement.
pub(crate) fn place(boxes: &[Size], lines: &[Line]) -> Placement {
    let reversed = lines_to_reverse(boxes.len(), lines);
    let oriented: Vec<(usize, usize)> = lines
        .iter()
        .zip(&reversed)
        .map(|(line, reversed)| if *reversed { (line.to, line.from) } else { (line.from, line.to) })
        .collect();
    let ranks = ranks(boxes.len(), &oriented);
    let mut slots: Vec<Slot> =
        boxes.iter().zip(&ranks).map(|(size, rank)| Slot::new(rank * 2, *size, true)).collect();
    let chains = chains(&mut slots, lines, &oriented);
    let mut layers = first_order(&slots);
    reduce_crossings(&slots, &mut layers);
    move_towards_neighbours(&mut slots, &layers);
    let bands = bands(&slots, &layers);
    finish(boxes, lines, &reversed, &chains, &slots, &bands)
}

impl Slot {
    fn new(rank: usize, size: Size, is_box: bool) -> Self {
        Self { rank, size, is_box, x: 0.0, up: Vec::new(), down: Vec::new() }
    }
}

/// Lines that lead backwards in an order in which few do (after Eades, Lin and Smyth 1993): sources first, sinks last,
/// else the box that is nearest to the first one, so that things stand in the order in which they come about.
fn lines_to_reverse(count: usize, lines: &[Line]) -> Vec<bool> {
    let depth = depths(count, lines);
    let mut left: Vec<usize> = (0..count).collect();
    let (mut first, mut last) = (Vec::new(), Vec::new());
    while !left.is_empty() {
        let outs = |at: usize| lines.iter().filter(|line| line.from == at && left.contains(&line.to)).count();
        let ins = |at: usize| lines.iter().filter(|line| line.to == at && left.contains(&line.from)).count();
        let sink = left.iter().copied().filter(|at| outs(*at) == 0).max_by_key(|at| depth[*at]);
        let source = left.iter().copied().filter(|at| ins(*at) == 0).min_by_key(|at| depth[*at]);
        let nearest =
            || left.iter().copied().min_by_key(|at| (depth[*at], ins(*at) + lines.len() - outs(*at)));
        let Some(next) = source.or(sink).or_else(nearest) else { break };
        if source.is_none() && sink.is_some() {
            last.push(next);
        } else {
            first.push(next);
        }
        left.retain(|at| *at != next);
    }
    first.extend(last.into_iter().rev());
    let place = places(&first, count);
    lines.iter().map(|line| place[line.from] > place[line.to]).collect()
}

/// How many lines each box is from the first one; the number of boxes where it cannot be reached.
fn depths(count: usize, lines: &[Line]) -> Vec<usize> {
    let mut depth = vec![count; count];
    if let Some(first) = depth.first_mut() {
        *first = 0;
    }
    for _ in 0..count {
        for line in lines {
            depth[line.to] = depth[line.to].min(depth[line.from] + 1);
        }
    }
    depth
}

/// The longest way from the top, then each box as near to its neighbours as it may be.
fn ranks(count: usize, oriented: &[(usize, usize)]) -> Vec<usize> {
    let mut rank = vec![0; count];
    for _ in 0..count {
        for (from, to) in oriented {
            rank[*to] = rank[*to].max(rank[*from] + 1);
        }
    }
    for _ in 0..count {
        for at in 1..count {
            let above = oriented.iter().filter(|(_, to)| *to == at).map(|(from, _)| rank[*from] + 1);
            let below = oriented.iter().filter(|(from, _)| *from == at).map(|(_, to)| rank[*to]);
            let (ins, outs) = (above.clone().count(), below.clone().count());
            if let (true, Some(nearest)) = (outs > ins, below.min()) {
                rank[at] = nearest - 1;
            } else if let (true, Some(furthest)) = (ins > outs, above.max()) {
                rank[at] = furthest;
            }
        }
    }
    let top = rank.iter().copied().min().unwrap_or(0);
    rank.iter().map(|rank| rank - top).collect()
}

/// Lays each line through every rank it passes. The label goes to the least crowded rank between two boxes' ranks.
fn chains(
    slots: &mut Vec<Slot>,
    lines: &[Line],
    oriented: &[(usize, usize)],
) -> Vec<(Vec<usize>, Option<usize>)> {
    let depth = slots.iter().map(|slot| slot.rank).max().unwrap_or(0) + 1;
    let mut crowd = vec![0.0_f64; depth];
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|index| slots[oriented[*index].1].rank - slots[oriented[*index].0].rank);
    let mut chains = vec![(Vec::new(), None); lines.len()];
    for index in order {
        let (top, bottom) = oriented[index];
        let (first, last) = (slots[top].rank, slots[bottom].rank);
        let label_rank = lines[index].label.and_then(|label| {
            let rank = (first + 1..last)
                .step_by(2)
                .min_by(|a, b| crowd[*a].partial_cmp(&crowd[*b]).unwrap_or(Ordering::Equal))?;
            crowd[rank] += label.width + BESIDE;
            Some((rank, label))
        });
        let mut above = top;
        let mut chain = Vec::new();
        let mut label_slot = None;
        for rank in first + 1..last {
            let size = match label_rank {
                Some((wanted, label)) if wanted == rank => {
                    label_slot = Some(chain.len());
                    label
                }
                _ => Size { width: 4.0, height: 0.0 },
            };
            slots.push(Slot::new(rank, size, false));
            let slot = slots.len() - 1;
            slots[above].down.push(slot);
            slots[slot].up.push(above);
            chain.push(slot);
            above = slot;
        }
        slots[above].down.push(bottom);
        slots[bottom].up.push(above);
        chains[index] = (chain, label_slot);
    }
    chains
}

/// The order in which a walk from the top meets them.
fn first_order(slots: &[Slot]) -> Vec<Vec<usize>> {
    let depth = slots.iter().map(|slot| slot.rank).max().unwrap_or(0) + 1;
    let mut layers = vec![Vec::new(); depth];
    let mut seen = vec![false; slots.len()];
    for root in 0..slots.len() {
        let mut stack = vec![root];
        while let Some(at) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            layers[slots[at].rank].push(at);
            stack.extend(slots[at].down.iter().rev());
        }
    }
    layers
}

fn reduce_crossings(slots: &[Slot], layers: &mut Vec<Vec<usize>>) {
    let mut best = (all_crossings(slots, layers), layers.clone());
    for sweep in 0..ORDER_SWEEPS {
        let downwards = sweep % 2 == 0;
        let depth = layers.len();
        for step in 1..depth {
            let rank = if downwards { step } else { depth - 1 - step };
            let beside = if downwards { rank - 1 } else { rank + 1 };
            let place = places(&layers[beside], slots.len());
            let mut keyed: Vec<(f64, usize, usize)> = layers[rank]
                .iter()
                .enumerate()
                .map(|(at, slot)| {
                    let near = if downwards { &slots[*slot].up } else { &slots[*slot].down };
                    let sum: f64 = near.iter().map(|slot| place[*slot] as f64).sum();
                    let key = if near.is_empty() { at as f64 } else { sum / near.len() as f64 };
                    (key, at, *slot)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            layers[rank] = keyed.into_iter().map(|(_, _, slot)| slot).collect();
        }
        swap_neighbours(slots, layers);
        let crossings = all_crossings(slots, layers);
        if crossings < best.0 {
            best = (crossings, layers.clone());
        }
    }
    *layers = best.1;
}

/// Swaps two that stand side by side wherever that takes crossings away.
fn swap_neighbours(slots: &[Slot], layers: &mut [Vec<usize>]) {
    for rank in 0..layers.len() {
        let above = rank.checked_sub(1).map(|rank| places(&layers[rank], slots.len()));
        let below = layers.get(rank + 1).map(|layer| places(layer, slots.len()));
        let crossings = |left: usize, right: usize| {
            let up = above.as_ref().map_or(0, |place| crossed(&slots[left].up, &slots[right].up, place));
            let down =
                below.as_ref().map_or(0, |place| crossed(&slots[left].down, &slots[right].down, place));
            up + down
        };
        let layer = &mut layers[rank];
        for at in 1..layer.len() {
            if crossings(layer[at], layer[at - 1]) < crossings(layer[at - 1], layer[at]) {
                layer.swap(at - 1, at);
            }
        }
    }
}

fn places(layer: &[usize], count: usize) -> Vec<usize> {
    let mut place = vec![0; count];
    for (at, slot) in layer.iter().enumerate() {
        place[*slot] = at;
    }
    place
}

fn crossed(left: &[usize], right: &[usize], place: &[usize]) -> usize {
    left.iter().map(|a| right.iter().filter(|b| place[**b] < place[*a]).count()).sum()
}

fn all_crossings(slots: &[Slot], layers: &[Vec<usize>]) -> usize {
    let mut sum = 0;
    for pair in layers.windows(2) {
        let place = places(&pair[1], slots.len());
        for (at, left) in pair[0].iter().enumerate() {
            for right in &pair[0][at + 1..] {
                sum += crossed(&slots[*left].down, &slots[*right].down, &place);
            }
        }
    }
    sum
}

fn move_towards_neighbours(slots: &mut [Slot], layers: &[Vec<usize>]) {
    for layer in layers {
        let mut x = 0.0;
        for slot in layer {
            slots[*slot].x = x + slots[*slot].size.width / 2.0;
            x += slots[*slot].size.width + BESIDE;
        }
    }
    for sweep in 0..MOVE_SWEEPS {
        for step in 0..layers.len() {
            let rank = if sweep % 2 == 0 { step } else { layers.len() - 1 - step };
            settle(slots, &layers[rank]);
        }
    }
}

fn beside(left: &Slot, right: &Slot) -> f64 {
    if left.size.height == 0.0 && right.size.height == 0.0 { BESIDE / 2.0 } else { BESIDE }
}

/// Moves a rank as near to its neighbours as the order allows: least squares by pooling adjacent violators.
fn settle(slots: &mut [Slot], layer: &[usize]) {
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(layer.len());
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (at, slot) in layer.iter().enumerate() {
        if at > 0 {
            let left = &slots[layer[at - 1]];
            offset += (left.size.width + slots[*slot].size.width) / 2.0 + beside(left, &slots[*slot]);
        }
        offsets.push(offset);
        let (wish, weight) = wish(slots, *slot);
        pools.push((wish - offset, weight, 1));
        while let [.., left, right] = pools.as_slice()
            && left.0 > right.0
        {
            let weight = left.1 + right.1;
            let pooled = ((left.0 * left.1 + right.0 * right.1) / weight, weight, left.2 + right.2);
            pools.truncate(pools.len() - 2);
            pools.push(pooled);
        }
    }
    let mut settled = pools.iter().flat_map(|(x, _, count)| std::iter::repeat_n(*x, *count));
    for (slot, offset) in layer.iter().zip(offsets) {
        slots[*slot].x = settled.next().unwrap_or_default() + offset;
    }
}

/// Where a slot would like to be, and how much. Lines through many ranks pull hardest: they should be straight.
fn wish(slots: &[Slot], slot: usize) -> (f64, f64) {
    let own = &slots[slot];
    let mut sum = 0.0;
    let mut weight = 0.0;
    for near in own.up.iter().chain(&own.down) {
        let pull = match (own.is_box, slots[*near].is_box) {
            (false, false) => 16.0,
            (true, true) => 1.0,
            _ => 2.0,
        };
        sum += slots[*near].x * pull;
        weight += pull;
    }
    if weight == 0.0 { (own.x, 0.1) } else { (sum / weight, weight) }
}

/// Top and bottom of each rank. The gap grows with how far lines have to go sideways, so that none lies flat.
fn bands(slots: &[Slot], layers: &[Vec<usize>]) -> Vec<(f64, f64)> {
    let mut bands = Vec::with_capacity(layers.len());
    let mut y = MARGIN;
    for layer in layers {
        let height = layer.iter().map(|slot| slots[*slot].size.height).fold(0.0, f64::max);
        bands.push((y, y + height));
        let sideways = layer
            .iter()
            .flat_map(|slot| slots[*slot].down.iter().map(|below| (slots[*slot].x - slots[*below].x).abs()))
            .fold(0.0, f64::max);
        y += height + (sideways / 6.0).clamp(RANK_GAP_MIN, RANK_GAP_MAX);
    }
    bands
}

fn finish(
    boxes: &[Size],
    lines: &[Line],
    reversed: &[bool],
    chains: &[(Vec<usize>, Option<usize>)],
    slots: &[Slot],
    bands: &[(f64, f64)],
) -> Placement {
    let left = slots.iter().map(|slot| slot.x - slot.size.width / 2.0).fold(f64::INFINITY, f64::min);
    let right = slots.iter().map(|slot| slot.x + slot.size.width / 2.0).fold(0.0, f64::max);
    let shift = if left.is_finite() { MARGIN - left } else { MARGIN };
    let middle = |slot: usize| {
        let (top, bottom) = bands[slots[slot].rank];
        Point { x: slots[slot].x + shift, y: f64::midpoint(top, bottom) }
    };
    let placed = lines.iter().enumerate().map(|(index, line)| {
        let (top, bottom) = if reversed[index] { (line.to, line.from) } else { (line.from, line.to) };
        let (chain, label) = &chains[index];
        let first = chain.first().copied().unwrap_or(bottom);
        let last = chain.last().copied().unwrap_or(top);
        let start = middle(top);
        let end = middle(bottom);
        let start = Point {
            x: start.x + port(slots, &slots[top].down, first, boxes[top].width),
            y: start.y + boxes[top].height / 2.0,
        };
        let end = Point {
            x: end.x + port(slots, &slots[bottom].up, last, boxes[bottom].width),
            y: end.y - boxes[bottom].height / 2.0,
        };
        let mut points = vec![start, start];
        for slot in chain {
            let (top, bottom) = bands[slots[*slot].rank];
            let x = slots[*slot].x + shift;
            points.extend([Point { x, y: top }, Point { x, y: bottom }]);
        }
        points.extend([end, end]);
        if reversed[index] {
            points.reverse();
        }
        PlacedLine { points, label: label.map(|at| middle(chain[at])) }
    });
    let lines = placed.collect();
    let height = bands.last().map_or(0.0, |(_, bottom)| *bottom) + MARGIN;
    Placement {
        size: Size { width: right + shift + MARGIN, height },
        boxes: (0..boxes.len()).map(middle).collect(),
        lines,
    }
}

/// How far from a box's middle a line meets it: lines share the side in the order of where they lead.
fn port(slots: &[Slot], side: &[usize], slot: usize, width: f64) -> f64 {
    let mut order: Vec<usize> = side.to_vec();
    order.sort_by(|a, b| slots[*a].x.total_cmp(&slots[*b].x).then(a.cmp(b)));
    let at = order.iter().position(|other| *other == slot).unwrap_or(0) as f64;
    let apart = (0.7 * width / order.len() as f64).min(20.0);
    (at - (order.len() as f64 - 1.0) / 2.0) * apart
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apart(a: (Point, Size), b: (Point, Size)) -> bool {
        (a.0.x - b.0.x).abs() * 2.0 + 0.01 >= a.1.width + b.1.width
            || (a.0.y - b.0.y).abs() * 2.0 + 0.01 >= a.1.height + b.1.height
    }

    #[track_caller]
    fn check_apart(boxes: &[Size], lines: &[Line]) {
        let placement = place(boxes, lines);
        let labels =
            lines.iter().zip(&placement.lines).filter_map(|(line, placed)| placed.label.zip(line.label));
        let all: Vec<(Point, Size)> =
            placement.boxes.iter().copied().zip(boxes.iter().copied()).chain(labels).collect();
        for (at, one) in all.iter().enumerate() {
            assert!(one.0.x - one.1.width / 2.0 > 0.0 && one.0.x + one.1.width / 2.0 < placement.size.width);
            assert!(
                one.0.y - one.1.height / 2.0 > 0.0 && one.0.y + one.1.height / 2.0 < placement.size.height
            );
            for other in &all[at + 1..] {
                assert!(apart(*one, *other), "{one:?} lies over {other:?}");
            }
        }
    }

    fn any_graph() -> impl Strategy<Value = (Vec<Size>, Vec<Line>)> {
        (2_usize..12).prop_flat_map(|count| {
            let size = (20.0..200.0_f64, 10.0..60.0_f64).prop_map(|(width, height)| Size { width, height });
            let line = (0..count, 1..count, proptest::option::of(size.clone()))
                .prop_map(move |(from, step, label)| Line { from, to: (from + step) % count, label });
            (proptest::collection::vec(size, count), proptest::collection::vec(line, 0..20))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn nothing_lies_over_anything_else((boxes, lines) in any_graph()) {
            check_apart(&boxes, &lines);
        }

        #[test]
        fn a_line_begins_and_ends_at_its_boxes((boxes, lines) in any_graph()) {
            let placement = place(&boxes, &lines);
            for (line, placed) in lines.iter().zip(&placement.lines) {
                for (end, index) in [(placed.points.first(), line.from), (placed.points.last(), line.to)] {
                    let (end, middle) = (end.copied().unwrap(), placement.boxes[index]);
                    prop_assert!((end.x - middle.x).abs() <= boxes[index].width / 2.0);
                    prop_assert!(((end.y - middle.y).abs() - boxes[index].height / 2.0).abs() < 0.01);
                }
            }
        }
    }

    #[test]
    fn a_cycle_is_no_obstacle() {
        let boxes = vec![Size { width: 60.0, height: 30.0 }; 3];
        let line = |from, to| Line { from, to, label: Some(Size { width: 40.0, height: 14.0 }) };
        check_apart(&boxes, &[line(0, 1), line(1, 2), line(2, 0), line(1, 0)]);
    }

    #[test]
    fn nothing_at_all_is_placed_without_harm() {
        assert_eq!(place(&[], &[]).boxes, Vec::new());
    }
}
