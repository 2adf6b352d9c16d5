"""How many cases of the laws that take longest are quick: every k-th; 0: none. The others are slow.

The times are sums over a law's cases: those of two seconds and more stand here.
"""

QUICK_SHARE = {
    "callbacks/test_diagnostic.py": {
        "test_training_is_bitwise_the_same_with_a_diagnostic_and_without": 4,
    },
    "config/test_check.py": {
        "test_every_choice_of_every_group_is_free_of_mistakes_and_can_be_built": 3,
        "test_the_gain_of_the_initialiser_is_the_gain_of_the_regulariser_but_for_soft": 4,
    },
    "config/test_objective.py": {"test_a_config_is_judged_as_its_task_is": 4},
    "diagnostics/test_fisher.py": {
        "test_of_a_network_that_answers_at_every_step_all_steps_count": 4,
        "test_the_largest_eigenvalues_are_those_of_curvlinops": 4,
    },
    "diagnostics/test_jacobian.py": {
        "test_an_ill_conditioned_spectrum_is_exact_where_single_precision_is_lost": 2,
        "test_on_real_images_every_logarithm_is_right": 2,
    },
    "diagnostics/test_module_fisher.py": {
        "test_every_fisher_of_any_module_is_that_of_the_definition": 3,
    },
    "docs/test_numbers.py": {"test_a_page_says_what_the_committed_tables_say": 3},
    "launch/test_command_line.py": {
        "test_a_line_says_what_where_and_what_to_do": 3,
        "test_a_malformed_command_line_is_told_in_lines": 3,
    },
    "launch/test_experiments.py": {
        "test_an_experiment_has_a_sweep_over_seeds_and_a_size_each_for_ci_and_for_the_paper": 3,
        "test_every_preset_within_a_group_is_a_choice_of_it": 3,
        "test_what_the_command_line_says_wins_over_the_sweep": 3,
    },
    "launch/test_help_text.py": {"test_a_choice_of_a_user_s_own_is_in_it": 2},
    "launch/test_hydra_job.py": {
        "test_what_only_shows_something_imports_nothing_heavy_and_leaves_nothing": 2,
        "test_a_sweep_goes_on_over_points_that_fail_and_ends_with_exit_code_1": 0,
        "test_a_mistake_on_the_command_line_is_one_line_at_once": 3,
    },
    "launch/test_idle_options.py": {
        "test_a_command_line_with_an_idle_option_is_refused_in_a_line": 5,
        "test_an_option_that_would_do_nothing_is_refused_and_one_that_acts_is_not": 3,
    },
    "launch/test_optuna_study.py": {
        "test_trials_that_diverge_or_fail_are_failed_ones_and_the_study_goes_on": 0,
        "test_the_best_of_losses_is_the_least": 0,
        "test_another_study_is_refused_before_its_next_trial": 4,
    },
    "launch/test_requeue.py": {
        "test_another_job_and_a_user_do_not_take_a_run_that_is_there": 0,
        "test_a_run_that_is_done_goes_on_where_more_is_asked_of_it": 0,
        "test_sigterm_before_training_ends_a_run_that_resume_begins": 0,
    },
    "launch/test_resume.py": {
        "test_every_reg_goes_on_bitwise_where_it_was_cut_off": 3,
        "test_a_resumed_run_ends_bitwise_where_the_uninterrupted_one_ends": 3,
    },
    "launch/test_resumption.py": {
        "test_another_run_is_refused_in_a_line_and_nothing_is_touched": 4,
        "test_a_sweep_that_is_asked_for_more_goes_on_at_every_point": 0,
        "test_missing_refuses_what_its_points_are_not": 3,
    },
    "linalg/test_half.py": {
        "test_two_steps_of_every_regulariser_are_those_of_float32_to_a_few_roundings": 4,
        "test_a_network_in_half_precision_is_measured_as_its_copy_in_float32": 4,
    },
    "linalg/test_long_products.py": {
        "test_diagonal_factors_keep_their_diagonals": 3,
        "test_every_singular_value_of_a_long_product_is_right_to_a_millionth": 4,
        "test_orthogonal_factors_multiply_their_gains": 3,
    },
    "record/test_damage.py": {
        "test_a_damaged_metrics_csv_is_set_aside_and_the_steps_that_are_lost_are_named": 4,
    },
    "record/test_identity.py": {
        "test_one_batch_is_not_all_batches_and_null_is_all": 4,
        "test_every_choice_of_a_group_is_a_conflict_with_every_other": 3,
        "test_of_callbacks_those_that_change_training_are_compared": 3,
    },
    "record/test_metrics_csv.py": {
        "test_a_row_costs_the_same_however_long_the_file_is": 4,
    },
    "reg/test_copies.py": {"test_a_copy_goes_on_as_the_original_and_leaves_it_alone": 3},
    "reg/test_landing.py": {
        "test_hundreds_of_steps_at_any_rate_never_leave_the_tube": 5,
        "test_descent_at_a_decaying_rate_ends_at_the_polar_factor_of_the_target": 5,
    },
    "reg/test_lie.py": {"test_50_steps_end_exactly_orthogonal": 4},
    "reg/test_penalty.py": {
        "test_descent_on_a_maximum_with_a_falling_rate_comes_near_orthogonal_at_the_gain": 5,
    },
    "reg/test_stiefel.py": {
        "test_every_step_of_a_run_ends_on_the_manifold": 3,
        "test_training_ends_at_the_polar_factor_of_the_target": 5,
    },
    "theory/test_recurrent.py": {
        "test_one_step_of_our_lstm_has_the_predicted_mean_and_variance": 2,
    },
    "tracking/test_wandb_logger.py": {"test_runs_of_one_process_are_runs_of_their_own": 0},
    "training/test_loss_scale.py": {
        "test_a_step_that_is_skipped_changes_nothing_that_the_others_depend_on": 5,
        "test_with_a_scaler_every_optimiser_trains_as_without_clipped_and_accumulated": 5,
    },
    "training/test_measured.py": {
        "test_a_run_with_several_validations_an_epoch_resumes_bitwise": 0,
    },
    "training/test_preemption.py": {
        "test_a_save_lies_where_a_step_is_done_and_no_validation_comes_next": 2,
        "test_outside_slurm_a_run_saves_ends_says_how_to_go_on_and_goes_on_bitwise": 3,
        "test_submitit_requeues_after_the_save_and_the_next_attempt_goes_on_bitwise": 3,
    },
    "training/test_preflight.py": {
        "test_every_task_fits_a_model_and_is_refused_with_what_would_fit_by_the_others": 5,
    },
    "training/test_run.py": {
        "test_every_reg_trains_every_model_from_wherever_it_starts": 3,
        "test_every_init_trains_with_every_optimiser": 3,
        "test_mixed_precision_leaves_kernels_and_constraints_in_float32": 3,
        "test_gradients_accumulate_to_those_of_the_larger_batch": 3,
        "test_a_learned_gain_is_trained_at_a_rate_of_its_own": 4,
        "test_from_a_checkpoint_of_another_reg_the_kernel_begins_where_this_one_may": 4,
        "test_clipping_acts_on_what_the_regulariser_left_of_the_gradient": 3,
    },
}


def slow_ids(ids: list[tuple[str, str]]) -> set[int]:
    """The places of the cases, (file, name of the function) each, that are slow by the table."""
    seen: dict[tuple[str, str], int] = {}
    slow = set()
    for place, (file, name) in enumerate(ids):
        share = QUICK_SHARE.get(file, {}).get(name)
        count = seen[file, name] = seen.get((file, name), -1) + 1
        if share is not None and (share == 0 or count % share):
            slow.add(place)
    return slow
