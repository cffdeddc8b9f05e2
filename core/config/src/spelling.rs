//! What was probably meant.

/// What is longer is not a keyword, and is not compared.
const LONGEST: usize = 32;

/// The name that a misspelt one is nearest to: at most two letters are added, missing, swapped or other.
pub fn nearest(key: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    if key.chars().count() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|name| (distance(key, &name), name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}

/// How many letters have to be added, dropped, swapped or changed to make one of the other.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_are_one_mistake() {
        let known = || ["mlkem512", "mlkem768", "mlkem1024"].map(str::to_owned);
        assert_eq!(nearest("mlkem786", known()).as_deref(), Some("mlkem768"));
        assert_eq!(nearest("kyber", known()), None);
        assert_eq!(nearest(&"m".repeat(1000), known()), None);
    }
}
