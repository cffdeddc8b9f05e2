//! What is said of many measurements: median and percentiles.

use std::time::Duration;

/// Measurements of one thing, in one unit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Those given; what is no number is left out.
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Times, in the unit that is `unit` long.
    pub(crate) fn of_times(times: impl IntoIterator<Item = Duration>, unit: Duration) -> Self {
        Self::new(
            times
                .into_iter()
                .map(|time| time.as_nanos() as f64 / unit.as_nanos() as f64),
        )
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that `percent` of them do not exceed (nearest rank); NaN without any.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil().max(1.0) as usize;
        self.0
            .get(rank - 1)
            .or(self.0.last())
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// The middle one, or the mean of the two in the middle; NaN without any.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match (self.0.len() % 2, middle) {
            (_, 0) if self.0.is_empty() => f64::NAN,
            (1, middle) => self.0[middle],
            (_, middle) => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(Samples::new([4.0, 1.0, 3.0, 2.0]).median(), 2.5);
        assert_eq!(Samples::new([9.0, 1.0, 5.0]).median(), 5.0);
    }

    #[test]
    fn percentiles_are_measurements_that_were_made() {
        let samples = Samples::new((1..=200).map(f64::from));
        assert_eq!(samples.percentile(50.0), 100.0);
        assert_eq!(samples.percentile(99.0), 198.0);
        assert_eq!(samples.percentile(100.0), 200.0);
        assert_eq!(samples.percentile(0.0), 1.0);
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(Samples::default().median().is_nan());
        assert!(Samples::default().percentile(99.0).is_nan());
        assert_eq!(Samples::new([f64::NAN, f64::INFINITY]).len(), 0);
    }

    #[test]
    fn times_come_in_the_unit_asked_for() {
        let samples = Samples::of_times([Duration::from_millis(3)], Duration::from_micros(1));
        assert_eq!(samples.median(), 3000.0);
    }
}
