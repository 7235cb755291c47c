//! The Yin-Yang data set (Kriener, Göltz and Petrovici 2022), as its public generator makes it.
//!
//! A disc of radius 0.5 around (0.5, 0.5) holds three classes: yin (0), yang (1) and the two dots (2).
//! Each sample draws its class first and then points of the square until one lies in that class.

use crate::random::Mt19937;

const R_BIG: f64 = 0.5;
const R_SMALL: f64 = 0.1;

/// A sample of the plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Abscissa.
    pub x: f64,
    /// Ordinate.
    pub y: f64,
    /// 0 yin, 1 yang, 2 dot.
    pub class: u32,
}

impl Point {
    /// The point turned about the disc's centre by `degrees`, anticlockwise; its class goes with it.
    #[must_use]
    pub fn rotated(self, degrees: f64) -> Self {
        if degrees == 0.0 {
            return self;
        }
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (dx, dy) = (self.x - R_BIG, self.y - R_BIG);
        Self {
            x: R_BIG + cos * dx - sin * dy,
            y: R_BIG + sin * dx + cos * dy,
            class: self.class,
        }
    }

    /// What the network sees: `x, y, 1 - x, 1 - y`.
    pub fn features(self) -> [f64; 4] {
        [self.x, self.y, 1.0 - self.x, 1.0 - self.y]
    }
}

/// `samples` points of NumPy's `RandomState(seed)`.
pub fn yin_yang(seed: u32, samples: usize) -> Vec<Point> {
    let mut generator = Mt19937::new(seed);
    (0..samples).map(|_| draw(&mut generator)).collect()
}

fn draw(generator: &mut Mt19937) -> Point {
    let class = generator.below(3);
    loop {
        let x = generator.uniform() * 2.0 * R_BIG;
        let y = generator.uniform() * 2.0 * R_BIG;
        if distance(x, y, R_BIG) <= R_BIG && class_of(x, y) == class {
            return Point { x, y, class };
        }
    }
}

/// Distance from a centre on the horizontal diameter.
fn distance(x: f64, y: f64, centre: f64) -> f64 {
    let (dx, dy) = (x - centre, y - R_BIG);
    (dx * dx + dy * dy).sqrt()
}

fn class_of(x: f64, y: f64) -> u32 {
    let right = distance(x, y, 1.5 * R_BIG);
    let left = distance(x, y, 0.5 * R_BIG);
    if right < R_SMALL || left < R_SMALL {
        return 2;
    }
    let yang = right <= R_SMALL
        || (left > R_SMALL && left <= 0.5 * R_BIG)
        || (y > R_BIG && right > 0.5 * R_BIG);
    u32::from(yang)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_divided_as_published() {
        assert_eq!(class_of(0.75, 0.5), 2);
        assert_eq!(class_of(0.25, 0.55), 2);
        assert_eq!(class_of(0.25, 0.3), 1);
        assert_eq!(class_of(0.75, 0.7), 0);
        assert_eq!(class_of(0.5, 0.95), 1);
        assert_eq!(class_of(0.5, 0.05), 0);
    }

    #[test]
    fn points_lie_in_the_disc_and_classes_are_even() {
        let points = yin_yang(1, 3000);
        let mut counts = [0; 3];
        for p in &points {
            assert!(distance(p.x, p.y, R_BIG) <= R_BIG);
            assert_eq!(class_of(p.x, p.y), p.class);
            counts[p.class as usize] += 1;
        }
        assert!(counts.iter().all(|n| (900..1100).contains(n)), "{counts:?}");
    }

    #[test]
    fn a_quarter_turn_takes_the_right_dot_to_the_top() {
        let dot = Point {
            x: 0.75,
            y: 0.5,
            class: 2,
        };
        let turned = dot.rotated(90.0);
        assert!((turned.x - 0.5).abs() < 1e-12 && (turned.y - 0.75).abs() < 1e-12);
        assert_eq!(turned.class, 2);
        assert_eq!(dot.rotated(0.0), dot);
    }
}
