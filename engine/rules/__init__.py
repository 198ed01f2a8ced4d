"""The rule language: parse once, evaluate per candle or over whole arrays.

`compile_rules` checks and compiles a strategy's rules; the program is bound to an
`IndicatorManager` for evaluation candle by candle, or evaluated over whole columns with identical
answers. `docs/rules.md` is the language reference.
"""

from engine.rules.program import RULES, BoundRules, RuleProgram, compile_rules

__all__ = ["RULES", "BoundRules", "RuleProgram", "compile_rules"]
