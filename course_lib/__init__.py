"""The small library behind the course *DPO from first principles*.

Every public name has one home, listed here, and can be imported from it or from here:

    from course_lib import check, dpo_loss

Nothing is imported before it is asked for: `from course_lib import check` loads no
figure, and `python3 -m course_lib` needs the standard library alone until the course's
environment stands.
"""

from importlib import import_module

from course_lib import _moved  # noqa: F401  (the names of the release before)

_NAMES = {  # module: what is public in it, its `__all__`
    "preferences": (
        "accuracy_ceiling bradley_terry_standard_errors fit_bradley_terry "
        "gaussian_preference_probability plackett_luce_log_prob preference_probability "
        "reward_model_loss share_preferred"
    ),
    "policies": (
        "Frontier best_of_n canonical_rewards estimate_log_partition expected_reward "
        "frontier implicit_rewards kl_divergence log_partition log_partition_error "
        "optimal_policy rlhf_objective"
    ),
    "logprobs": (
        "at_least_float32 length_desensitized_logprobs response_logprobs "
        "token_logprobs wpo_weights"
    ),
    "losses": (
        "dpo_gradients dpo_loss dpo_metrics f_dpo_loss implicit_preference_probability "
        "implicit_reward_accuracy ipo_loss kto_loss kto_reference_point orpo_loss "
        "plackett_luce_dpo_loss robust_dpo_loss simpo_loss"
    ),
    "variants": (
        "LossSettings METHODS Method PairLogps REFERENCE_FREE apo_down_loss "
        "apo_zero_loss bco_loss cpo_loss dpo_nll_loss exo_loss hinge_loss "
        "length_normalized_dpo_loss loss_optimum measures nca_loss preference_losses "
        "sppo_loss"
    ),
    "beta": "beta_for_kl crossing dpo_slope smoothed_optimal_gap steepest_beta",
    "bugs": (
        "BUGGY Patient SOUND Treatment dpo_loss_is_sound response_logprobs_are_sound "
        "treat"
    ),
    "datasets": (
        "Convention InstructRun LoggedRun Run Series baseball_1987 citations "
        "conventions_table run_values shipped_conventions shipped_failures "
        "shipped_instruct shipped_runs trainer_speed wins_table"
    ),
    "worlds": (
        "Demonstrations Preferences SentenceWorld World eight_words five_responses "
        "random_world sample_demonstrations sample_preferences sample_rewards "
        "sample_single_thumbs sample_thumbs sentence_logps world_l world_s"
    ),
    "tabular": "AllPairs TabularRun expected_dpo_loss train_tabular",
    "transformer": "PrefixTable Shape Transformer from_llama load sample save to_llama",
    "batches": (
        "Batch LAYOUTS Texts batch_order collate evaluation_mode pairs part_mask "
        "response_logps schedule sentence_texts sum_by_owner texts_logps "
        "with_mismatched with_thumbs"
    ),
    "production.responses": "response_mask",
    "production.sizing": (
        "LINEAR MEASURED MODELS Job Memory ModelSize adapter_parameters backward_peak "
        "parameter_count standing_bytes training_memory"
    ),
    "production.flops": "Duration training_flops training_time",
    "production.measured": "Trial measured_trials memory_check time_check",
    "production.accumulation": "micro_batch_weights",
    "production.catalogue": "PreferenceSet preference_sets preference_sets_table",
    "production.launching": "launch_file run_with_accelerate torchrun",
    "metrics": (
        "Interval beta_from_moves exact_metrics implicit_accuracy kl_estimates "
        "label_chances least_loss prompts_needed reference_kl_terms shortfall "
        "wilson_interval win_rate"
    ),
    "guide": (
        "Advice Evidence NAMES QUESTIONS SWEEPS Sweep advise evidence leaders "
        "reward_at_kl rewards_table"
    ),
    "table": "Table",
    "baselines": (
        "RewardModel clipped_policy_loss expected_dpo_steps imitation_steps "
        "policy_gradient_steps reward_model_steps reward_table sentence_rollouts"
    ),
    "config": "Config require",
    "production.lora": "LoRALinear adapter_off add_lora lora_step merge_lora",
    "production.huggingface": "Causal agreement load_causal save_adapter save_causal",
    "finetuning": "Finetuning finetune",
    "optional": "SETS missing_packages needed",
    "trunk": "LastBlocks Trunk",
    "training": "Log all_logps fit main reference_logps run train",
    "failures": (
        "BESIDE CURES Effect FAILURES Failure HEALTHY Plan Truth broken_run effect "
        "number plan_of trl_rows truth_of"
    ),
    "limits.stages": "best_in_class fit_rewards one_stage",
    "limits.comparisons": "drawn_wins expected_pair_loss mixed_preferences win_rates",
    "limits.games": "nash_gap preference_path regularised_nash self_play_step",
    "limits.coverage": (
        "Estimates chi_optimal_policy chi_po_loss concentrability distances_by_pairs "
        "fit_scores rewards_by_pairs untouched_mass"
    ),
    "limits.token_values": (
        "answer_token_logps next_token_logps prefix_values soft_values token_advantages"
    ),
    "limits.exponential": (
        "Cumulants cumulants dpo_projection exponential_tilt forward_projection "
        "psi_rewards reverse_projection"
    ),
    "limits.displacement": (
        "PairGeometry batch_pushes moved_along pair_geometry pair_pushes "
        "sentence_scores softmax_scores"
    ),
    "limits.over_optimisation": (
        "Optimised best_by_judges mistaken_judges tilted_by_judges"
    ),
    "limits.length_bias": "length_regularized_dpo_loss length_regularized_run",
    "predictions": "Prediction predict predicted",
    "diagnosis": "Verdict diagnose",
    "inspection": "Finding Report inspect",
    "sliders": "Choice LinSlider LivePlot LogSlider SliderPlot slider_plot",
    "spaced_review": "Review review",
    "checking": "Clinic check clinic hint progress yours",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'course_lib' has no attribute {name!r}")
    return getattr(import_module(f"course_lib.{_HOMES[name]}"), name)


def __dir__():
    return [*__all__, *(module.partition(".")[0] for module in _NAMES)]
