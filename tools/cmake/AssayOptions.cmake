# What a builder may choose, and the flags every target of the project gets.

set(ASSAY_CUDA "AUTO" CACHE STRING "Build the CUDA kernels: ON, OFF, or AUTO (when nvcc is found)")
set_property(CACHE ASSAY_CUDA PROPERTY STRINGS AUTO ON OFF)
option(ASSAY_TESTS "Build the tests" ON)
option(ASSAY_BENCHMARKS "Build the benchmark programs" ON)
option(ASSAY_SELF_CONTAINED "Link everything but the C library statically" OFF)
set(ASSAY_SANITIZE "" CACHE STRING "Sanitizers, as the compiler spells them: address,undefined or thread")
set(ASSAY_CPU "x86-64-v3" CACHE STRING "Value of -march for host code (x86-64-v3: AVX2 and FMA)")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(ASSAY_CCACHE ccache)
mark_as_advanced(ASSAY_CCACHE)
if(ASSAY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${ASSAY_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${ASSAY_CCACHE}")
endif()

# One interface target carries all flags. -ffp-contract=off: the compiler must not fuse a*b+c on its
# own; where the twin or the golden model wants a fused operation it writes std::fma.
add_library(assay_flags INTERFACE)
target_compile_features(assay_flags INTERFACE cxx_std_20)
target_include_directories(assay_flags INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
set(assay_host_flags -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
                     -ffp-contract=off -fno-math-errno)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND assay_host_flags -Wno-restrict)  # false alarms on std::string concatenation (GCC bug 105651)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND ASSAY_CPU)
  list(APPEND assay_host_flags -march=${ASSAY_CPU})
endif()
if(ASSAY_SANITIZE)
  list(APPEND assay_host_flags -fsanitize=${ASSAY_SANITIZE} -fno-sanitize-recover=all
       -fno-omit-frame-pointer -O1 -g1)
  target_link_options(assay_flags INTERFACE -fsanitize=${ASSAY_SANITIZE})
endif()
target_compile_options(assay_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${assay_host_flags}>")

if(ASSAY_SELF_CONTAINED)
  target_link_options(assay_flags INTERFACE -static-libstdc++ -static-libgcc)
endif()

find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)

# fmt from its headers: Debian ships only a shared libfmt, and the programs must run where it is not.
add_library(assay_fmt INTERFACE)
target_link_libraries(assay_fmt INTERFACE fmt::fmt-header-only)

# Eigen runs on the threads we give it, never on threads of its own.
add_library(assay_eigen INTERFACE)
target_link_libraries(assay_eigen INTERFACE Eigen3::Eigen)
target_compile_definitions(assay_eigen INTERFACE EIGEN_DONT_PARALLELIZE)

if(ASSAY_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
if(ASSAY_BENCHMARKS)
  find_package(benchmark REQUIRED)
endif()

function(assay_print_summary)
  message(STATUS "Assay ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, CUDA ${assay_cuda_word}, "
                 "tests ${ASSAY_TESTS}, benchmarks ${ASSAY_BENCHMARKS}, sanitizers '${ASSAY_SANITIZE}'")
endfunction()
