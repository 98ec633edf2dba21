"""A run's folder: everything that is needed to translate with what a training run made.

    config.yaml         every setting of the run, resolved      environment.json  versions, git commit, command
    tokenizer*.model    the subwords                            model.json        what the network is, and its defaults
    model.safetensors   the best weights                        checkpoints/      last.ckpt to resume, best.ckpt
    huggingface/        of a model that was imported: its tokenizer, and its settings there
    logs/               TensorBoard and CSV                     report/           scores and output of the test set
    engines/            the weights as other engines read them; made when one is first used
    decoded/            what a report decoded, by weights and options; may be removed at any time
    .lock               held by the process that trains there

Nothing in the folder is executed or imported: the network is a class that is imported already or refused (`networks`),
weights are tensors only.

description.py  model.json; scoring_options.py, what it says of scores; networks.py, the network that it names
checkpoints.py  training checkpoints
objectives.py   the objective of config.yaml
weights.py      model.safetensors, or the weights in a checkpoint
loading.py      the whole, to use it; merging.py, several as one
"""
