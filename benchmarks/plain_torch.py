"""The models of `cases.py` as PyTorch modules, without Keras."""

import torch
from torch import nn
from torch.nn import functional

_TEMPERATURE = 0.07


class PlainVATT(nn.Module):
    """A modality-agnostic VATT with a factorized bridge head.

    Like our backbone, it computes only the aggregation token in the last block.

    Args:
        vatt: `keras_vatt.VATT` whose weights are copied.
    """

    def __init__(self, vatt):
        super().__init__()
        backbone, head = vatt.backbone, vatt.bridge_head
        self.stems = nn.ModuleDict(
            {
                "video": _PatchStem(backbone.video_stem),
                "audio": _PatchStem(backbone.audio_stem),
                "text": _WordStem(backbone.text_stem),
            }
        )
        self.blocks = nn.ModuleList(_Block(b) for b in backbone.encoder.blocks)
        self.norm = _layer_norm(backbone.encoder.final_norm)
        names = ("video", "audio", "text")
        self.projections = nn.ModuleDict(
            {m: _linear(getattr(backbone, f"{m}_projection")) for m in names}
        )
        self.video_to_audio = nn.Sequential(
            _linear(head.video_hidden),
            _batch_norm(head.video_hidden_norm),
            nn.ReLU(),
            _linear(head.video_to_audio),
            _batch_norm(head.video_to_audio_norm),
        )
        self.video_to_text = nn.Sequential(
            nn.ReLU(),
            _linear(head.video_to_text),
            _batch_norm(head.video_to_text_norm),
        )
        self.audio_to_video = _linear(head.audio_to_video)
        self.text_to_video = _linear(head.text_to_video)

    def pooled(self, modality, inputs):
        """Returns the projected aggregation tokens."""
        mask = None
        if modality == "text":
            inputs = inputs.flatten(0, 1)
            mask = functional.pad(inputs != 0, (1, 0), value=True)[:, None, None, :]
        x = self.stems[modality](inputs)
        for block in self.blocks:
            x = block(x, mask, first_only=block is self.blocks[-1])
        return functional.gelu(self.projections[modality](self.norm(x[:, 0])))

    def embeddings(self, pooled):
        """Returns pairs of the embeddings that each loss compares, video first."""
        to_audio = self.video_to_audio(pooled["video"])
        pairs = []
        if "audio" in pooled:
            pairs.append((to_audio, self.audio_to_video(pooled["audio"])))
        if "text" in pooled:
            to_text = self.video_to_text(to_audio)
            pairs.append((to_text, self.text_to_video(pooled["text"])))
        return pairs

    def losses_of(self, pooled):
        """Returns the losses of the given modalities; their sum is the total loss."""
        return [_nce(video, other) / 2 for video, other in self.embeddings(pooled)]

    def forward(self, batch):
        """Returns the pooled features of all modalities."""
        return {name: self.pooled(name, batch[name]) for name in self.stems}

    def losses(self, batch):
        return self.losses_of(self(batch))

    def head_parameters(self):
        """Returns the parameters between pooled features and losses, of each loss."""
        audio, text = self.audio_to_video, self.text_to_video
        return [
            [*self.video_to_audio.parameters(), *audio.parameters()],
            [
                *self.video_to_audio.parameters(),
                *self.video_to_text.parameters(),
                *text.parameters(),
            ],
        ]


def _nce(video, other):
    similarities = (
        functional.normalize(video) @ functional.normalize(other).T / _TEMPERATURE
    )
    pooled = torch.cat([similarities, similarities.T], dim=1)
    return (torch.logsumexp(pooled, dim=1) - similarities.diagonal()).mean()


class _Block(nn.Module):
    def __init__(self, block):
        super().__init__()
        attention, mlp = block.attention, block.feed_forward
        self.num_heads = attention.num_heads
        self.attention_norm = _layer_norm(block.attention_norm)
        self.query = _linear(attention.query)
        self.key = _linear(attention.key)
        self.value = _linear(attention.value)
        self.output = _linear(attention.output_dense)
        self.mlp_norm = _layer_norm(block.feed_forward_norm)
        self.inner, self.outer = _linear(mlp.inner_dense), _linear(mlp.outer_dense)

    def forward(self, x, mask, first_only):
        normed = self.attention_norm(x)
        asking = normed[:, :1] if first_only else normed
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(asking)),
            self._heads(self.key(normed)),
            self._heads(self.value(normed)),
            attn_mask=mask,
        )
        x = x[:, :1] if first_only else x
        x = x + self.output(attended.transpose(1, 2).flatten(2))
        return x + self.outer(functional.gelu(self.inner(self.mlp_norm(x))))

    def _heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class _PatchStem(nn.Module):
    def __init__(self, stem):
        super().__init__()
        kernel = _values(stem.patch_embedding.kernel)
        *sizes, channels, width = kernel.shape
        convolution = {1: nn.Conv1d, 3: nn.Conv3d}[len(sizes)]
        self.patches = convolution(channels, width, tuple(sizes), tuple(sizes))
        self.patches.weight = nn.Parameter(kernel.movedim((-1, -2), (0, 1)).clone())
        self.patches.bias = nn.Parameter(_values(stem.patch_embedding.bias))
        self.tokens = _Tokens(stem)

    def forward(self, x):
        x = self.patches(x.movedim(-1, 1))
        return self.tokens(x.flatten(2).transpose(1, 2))


class _WordStem(nn.Module):
    def __init__(self, stem):
        super().__init__()
        self.words = nn.Embedding.from_pretrained(_values(stem.embedding.embeddings))
        self.tokens = _Tokens(stem)

    def forward(self, word_ids):
        return self.tokens(self.words(word_ids))


class _Tokens(nn.Module):
    """Projection, positions along one axis, aggregation token."""

    def __init__(self, stem):
        super().__init__()
        self.projection = _linear(stem.projection)
        tables = [nn.Parameter(_values(table)) for table in stem.positions.tables]
        self.tables = nn.ParameterList(tables)
        self.norm = _layer_norm(stem.positions.norm)
        self.aggregation = nn.Parameter(_values(stem.aggregation_token.embedding))

    def forward(self, x):
        x = functional.gelu(self.projection(x)) + self.norm(sum(self.tables))
        first = self.aggregation.expand(len(x), 1, -1)
        return torch.cat([first, x], dim=1)


def _linear(dense):
    layer = nn.Linear(*dense.kernel.shape, bias=dense.bias is not None)
    layer.weight = nn.Parameter(_values(dense.kernel).T.contiguous())
    if dense.bias is not None:
        layer.bias = nn.Parameter(_values(dense.bias))
    return layer


def _layer_norm(norm):
    layer = nn.LayerNorm(norm.gamma.shape, norm.epsilon)
    layer.weight = nn.Parameter(_values(norm.gamma))
    layer.bias = nn.Parameter(_values(norm.beta))
    return layer


def _batch_norm(norm):
    layer = nn.BatchNorm1d(norm.gamma.shape[0], norm.epsilon, 1 - norm.momentum)
    layer.weight = nn.Parameter(_values(norm.gamma))
    layer.bias = nn.Parameter(_values(norm.beta))
    return layer


def _values(variable):
    return variable.value.detach().clone()
