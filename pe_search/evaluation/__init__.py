"""How well a checkpoint finds what a table says is heard. The only importer of scikit-learn and sed_scores_eval."""
