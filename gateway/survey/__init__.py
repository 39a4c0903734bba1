"""Looking at websites from outside, as visitors and regulators do: what `gateway init --from` and `gateway audit` see."""
