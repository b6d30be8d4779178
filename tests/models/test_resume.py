"""Killed runs go on exactly where their last backup was, on a toy with two updates."""

import keras
import pytest
from toy import NUM_BATCHES, Interrupt, assert_same_state, fit, toy


@pytest.mark.parametrize("save_freq, steps_per_execution", [("epoch", 1), (1, 1), (3, 1), (2, 2)])
def test_backup_and_restore_resumes_exactly(tmp_path, save_freq, steps_per_execution):
    """Also with Keras' own loop over single steps, which runs past the end of the data."""

    def run(folder, interrupts):
        model = toy()
        model.compile(dict(model.optimizers), steps_per_execution=steps_per_execution)
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
        fit(model, 3, callbacks=[*interrupts, backup])
        return model

    reference = run(tmp_path / "a", [])
    for step in (NUM_BATCHES + 2, 2 * NUM_BATCHES + 3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", [Interrupt(step)])
    resumed = run(tmp_path / "b", [])
    assert int(resumed.steps) == 3 * NUM_BATCHES
    assert_same_state(reference, resumed)


def test_unreadable_notes_of_a_backup_do_not_matter(tmp_path):
    reference, model = toy(), toy()
    fit(reference, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            2,
            callbacks=[Interrupt(NUM_BATCHES + 1), keras.callbacks.BackupAndRestore(tmp_path)],
        )
    (tmp_path / "training_metadata.json").write_text('{"epo')  # Killed while writing.
    model = toy()
    fit(model, 2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_state(reference, model)


def test_second_fit_begins_at_its_own_first_epoch(tmp_path):
    model = toy()
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    fit(model, 2, callbacks=[backup])
    assert len(fit(model, 3)["critic_loss"]) == 3
