package main

import (
	"fmt"
	"math"
	"slices"
)

// deviation of the transformer's weights: as they are initialised before training.
const deviation = 0.02

// checkpoint returns a Stable Diffusion 3 of one block and 64 features with a TAESD of 16 channels: the least that ComfyUI
// takes for a checkpoint of text to image. It has no text encoder, so that a prompt says nothing; seed, steps and size do.
// Each key is written, because ComfyUI leaves missing ones to whatever is in memory. The VAE's weights are scaled so that
// pictures are coloured noise and not one grey.
func checkpoint() []tensor {
	return slices.Concat(
		transformer("model.diffusion_model."),
		decoder("first_stage_model.taesd_decoder."),
		encoder("first_stage_model.taesd_encoder."),
		[]tensor{
			{key: "first_stage_model.vae_scale", value: 1},
			{key: "first_stage_model.vae_shift"},
			{key: "text_encoders.dummy", shape: []int{1}}, // makes ComfyUI build a text encoder, which then answers zeros
		},
	)
}

func transformer(p string) []tensor {
	const features, context = 64, 4096
	x, c := p+"joint_blocks.0.x_block.", p+"joint_blocks.0.context_block."
	return slices.Concat(
		[]tensor{
			{key: p + "x_embedder.proj.weight", shape: []int{features, 16, 2, 2}, std: 0.125},
			{key: p + "x_embedder.proj.bias", shape: []int{features}},
		},
		linear(p+"t_embedder.mlp.0", features, 256),
		linear(p+"t_embedder.mlp.2", features, features),
		linear(p+"context_embedder", features, context),
		[]tensor{{key: p + "pos_embed", shape: []int{1, 64 * 64, features}, std: deviation}}, // up to 1024×1024 pixels
		linear(c+"attn.qkv", 3*features, features),
		linear(c+"adaLN_modulation.1", 2*features, features), // the last block's context ends here: 2, not 6
		linear(x+"attn.qkv", 3*features, features),
		linear(x+"attn.proj", features, features),
		linear(x+"mlp.fc1", 4*features, features),
		linear(x+"mlp.fc2", features, 4*features),
		linear(x+"adaLN_modulation.1", 6*features, features),
		linear(p+"final_layer.linear", 2*2*16, features),
		linear(p+"final_layer.adaLN_modulation.1", 2*features, features),
	)
}

func linear(key string, out, in int) []tensor {
	return []tensor{
		{key: key + ".weight", shape: []int{out, in}, std: deviation},
		{key: key + ".bias", shape: []int{out}},
	}
}

// conv returns a 3×3 convolution's weights, gain times as large as keeps the variance through a ReLU.
func conv(key string, out, in int, gain float64) tensor {
	return tensor{key: key + ".weight", shape: []int{out, in, 3, 3}, std: gain * math.Sqrt(2/float64(in*9))}
}

func bias(key string, n int, value float32) tensor {
	return tensor{key: key + ".bias", shape: []int{n}, value: value}
}

// blocks returns TAESD's residual blocks numbered from first to last.
func blocks(p string, first, last int) (list []tensor) {
	for i := first; i <= last; i++ {
		for _, c := range []struct {
			at   int
			gain float64
		}{{0, 1}, {2, 1}, {4, 0.2}} { // the last one small, as it is added to the input
			key := fmt.Sprintf("%s%d.conv.%d", p, i, c.at)
			list = append(list, conv(key, 64, 64, c.gain), bias(key, 64, 0))
		}
	}
	return list
}

// decoder returns TAESD's decoder. Numbers that are missing have no weights: clamp, ReLU, upsampling.
func decoder(p string) []tensor {
	last := conv(p+"19", 3, 64, 0.25)
	return slices.Concat(
		[]tensor{conv(p+"1", 64, 16, 1), bias(p+"1", 64, 0)}, blocks(p, 3, 5),
		[]tensor{conv(p+"7", 64, 64, 1)}, blocks(p, 8, 10),
		[]tensor{conv(p+"12", 64, 64, 1)}, blocks(p, 13, 15),
		[]tensor{conv(p+"17", 64, 64, 1)}, blocks(p, 18, 18),
		[]tensor{last, bias(p+"19", 3, 0.5)}, // about grey
	)
}

func encoder(p string) []tensor {
	return slices.Concat(
		[]tensor{conv(p+"0", 64, 3, 1), bias(p+"0", 64, 0)}, blocks(p, 1, 1),
		[]tensor{conv(p+"2", 64, 64, 1)}, blocks(p, 3, 5),
		[]tensor{conv(p+"6", 64, 64, 1)}, blocks(p, 7, 9),
		[]tensor{conv(p+"10", 64, 64, 1)}, blocks(p, 11, 13),
		[]tensor{conv(p+"14", 16, 64, 1), bias(p+"14", 16, 0)},
	)
}

// upscaler returns a compact SRVGG network that doubles a picture: 12 = 3·2² channels are shuffled into pixels, and the
// input, doubled, is added.
func upscaler() []tensor {
	const features, std, slope = 8, 0.05, 0.25
	body := func(i, out, in int) []tensor {
		key := fmt.Sprintf("body.%d", i)
		return []tensor{{key: key + ".weight", shape: []int{out, in, 3, 3}, std: std}, bias(key, out, 0)}
	}
	prelu := func(i int) []tensor {
		return []tensor{{key: fmt.Sprintf("body.%d.weight", i), shape: []int{features}, value: slope}}
	}
	return slices.Concat(body(0, features, 3), prelu(1), body(2, features, features), prelu(3), body(4, 12, features))
}
