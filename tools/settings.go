package tools

import (
	"errors"
	"time"
)

// Settings bound what callers may ask for, and tell what status reports. Zero bounds take the defaults given.
type Settings struct {
	Version string // of this program
	Backend string // comfyui (default) or embedded
	URL     string // ComfyUI's, without credentials and query; told over stdio and to those with the scope operate

	MaxWidth, MaxHeight int     // pixels; default and cap 2048 (SC-27)
	MaxSteps            int     // default 100
	MaxCFG              float64 // default 30
	MaxBatch            int     // pictures of one call; default 4
	MaxPromptChars      int     // default 10000
	MaxNegativeChars    int     // default 5000
	MaxUpscalePixels    int64   // of an upscaled picture; default 16,777,216
	MaxUploadBytes      int64   // of an upload; default 20 MiB
	MaxUploadPixels     int64   // of an upload; default 4,194,304

	VRAMFactor    float64 // part of the estimated video memory that a job must find; 0: none is refused (LIMITS__VRAM_FACTOR)
	VRAMReserveGB float64 // of video memory, left to others before a job is told that it may be tight

	Model              string // that a bare prompt takes (GENERATION__MODEL); empty: chosen from what is installed
	ResultsToTemp      bool   // COMFYUI__RESULTS=temp
	CancelOnDisconnect bool   // JOBS__ON_DISCONNECT=cancel
	InsecureTransport  bool   // ComfyUI is reached in clear text over the network
	WorkflowTools      bool   // WORKFLOWS__AS_TOOLS: saved workflows are tools too
	OutputDir          string // where full pictures are saved; told over stdio only

	// Figures are further limits in force that status tells, by name: memory_bytes, jobs_in_flight, …
	Figures map[string]int64
}

// Bounds of waiting (design.md, "Tools").
const (
	defaultWait = 45 * time.Second
	maxWait     = 300 * time.Second
)

// maxSide is the hard cap of SC-27: no setting raises it.
const maxSide = 2048

func (s Settings) validate() error {
	switch {
	case s.MaxWidth < 64, s.MaxWidth > maxSide, s.MaxHeight < 64, s.MaxHeight > maxSide:
		return errors.New("tools: MaxWidth and MaxHeight must lie between 64 and 2048")
	case s.MaxSteps < 1, s.MaxBatch < 1, s.MaxPromptChars < 1, s.MaxNegativeChars < 0, s.MaxUpscalePixels < 1, s.MaxUploadBytes < 1,
		s.MaxUploadPixels < 1, s.MaxCFG < 1:
		return errors.New("tools: a bound is too low")
	}
	return nil
}

func (s Settings) withDefaults() Settings {
	setDefault(&s.Backend, "comfyui")
	setDefault(&s.MaxWidth, maxSide)
	setDefault(&s.MaxHeight, maxSide)
	setDefault(&s.MaxSteps, 100)
	setDefault(&s.MaxCFG, 30)
	setDefault(&s.MaxBatch, 4)
	setDefault(&s.MaxPromptChars, 10_000)
	setDefault(&s.MaxNegativeChars, 5_000)
	setDefault(&s.MaxUpscalePixels, 16_777_216)
	setDefault(&s.MaxUploadBytes, 20<<20)
	setDefault(&s.MaxUploadPixels, 4_194_304)
	return s
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
